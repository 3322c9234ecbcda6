# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The soak: random valid operations on a plane under traffic, and what must hold after each of them.

    make soak T=600 [SEED=n]        the long run; tests/netns/test_soak.py is the short one, and the proofs

model    the configuration as it ought to be, and random changes of it
world    devices, the frames that the test sends and reads, the steady flows
work     the operations: verbs, devices, upgrades, kills, `watch`
checks   what must hold, each with a name
run      the loop and the command line
"""
