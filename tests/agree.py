#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Help, manual page, completion, code and verb table agree, and so do the package and what it is made from.

usage: tests/agree.py [BUILD/vpeer]        one line for each disagreement; exit 1 if there is any

The verb table (user/main.c), as `vpeer help --completion` prints it, is what all others are compared with.
"""
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOUND = []


def run(*command, **kwargs):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=TOP, **kwargs).stdout


def read(path):
    with open(f"{TOP}/{path}", encoding="utf-8") as f:
        return f.read()


def same(what, have, want):
    """Both are sets of texts."""
    FOUND.extend([f"{what}: lacks `{text}`" for text in sorted(want - have)])
    FOUND.extend([f"{what}: has `{text}`, the verb table has not" for text in sorted(have - want)])


def forms(args):
    """The parts between " | " that are not in brackets."""
    return [form.strip() for form in re.split(r" \| (?![^\[]*\])", args)]


def plain(text):
    """A grammar, however it is spaced: `[a | b]` is `[a|b]`."""
    return re.sub(r"\s*\|\s*", "|", " ".join(text.split()))


def roff(line):
    """What a line of a manual page shows: its arguments' fonts and quotes taken away."""
    macro, _, rest = line.partition(" ")
    rest = re.sub(r"\\f[BIRP]", "", rest).replace(r"\-", "-").replace(r"\(aq", "'")
    words = re.findall(r'"([^"]*)"|(\S+)', rest)
    return (" " if macro in (".B", ".I") else "").join(quoted or bare for quoted, bare in words)


def manual(page, section):
    """The tags of a section's .TP paragraphs, indented ones excepted."""
    text = re.search(rf"^\.SH {section}\n(.*?)(?=^\.SH |\Z)", read(page), re.M | re.S).group(1)
    text = re.sub(r"^\.RS$.*?^\.RE$", "", text, flags=re.M | re.S)
    return {plain(roff(tag)) for tag in re.findall(r"^\.TP.*\n(.*)", text, re.M)}


def options(args):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", args))


def compared(path):
    """The options that a source file compares its arguments with."""
    text = read(path)
    taken = set(re.findall(r'strcmp\(\w+(?:\[[^\]]*\])?, "(--?[a-z][a-z-]*)"\)', text))
    return taken - set(re.findall(r"does not have (--[a-z-]+) yet", text))


def check_help(binary, verbs):
    text = re.sub(r"\n {10,12}(?=\S)", " ", run(binary, "help"))
    have = {" ".join(line.split()) for line in re.findall(r"^  (\S.*)$", text, re.M)}
    same("vpeer help", have, {f"{name} {args}".strip() for name, args in verbs.items()})


def check_manual(verbs, general):
    want = {plain(f"{name} {form}") for name, args in verbs.items() for form in forms(args)}
    same("docs/vpeer.8, VERBS", manual("docs/vpeer.8", "VERBS"), want)
    same("docs/vpeer.8, OPTIONS", {tag.split()[0] for tag in manual("docs/vpeer.8", "OPTIONS")}, options(general))


def check_code(verbs, general):
    """An option that the code takes but the table does not have is one that nobody knows of."""
    for path in sorted(glob.glob("user/cmd_*.c", root_dir=TOP)):
        inside = re.findall(r"^int cmd_(\w+)\(", read(path), re.M)
        FOUND.extend([f"{path}: no verb {name} in the table" for name in inside if name not in verbs])
        same(path, compared(path), set().union(*(options(verbs.get(name, "")) for name in inside)))
    same("user/main.c", compared("user/main.c") - {"--completion"}, options(general) | {"-h"})


def complete(script, *lines):
    """What bash offers at the end of each line, as sets of words."""
    shell = (f"source {script}\n"
             'while read -r l; do COMP_LINE=$l COMP_POINT=${#l} COMP_WORDBREAKS=" =" COMPREPLY=() COMP_VPEER=/bin/false\n'
             '_vpeer; echo "${COMPREPLY[*]}"; done\n')
    out = run("bash", "-uc", shell.replace("read -r l", "IFS= read -r l"), input="".join(line + "\n" for line in lines))
    return [set(line.split()) for line in out.split("\n")[:-1]]


def check_completion(script, verbs, general, keys):
    """At each place of each form all that can be known is offered; a word that stands as it is leads on to the next."""
    asked = {"vpeer ": set(verbs), "vpeer -": options(general), "vpeer --json -": options(general)}
    for name, args in verbs.items():
        asked[f"vpeer {name} -"] = options(args)
        before = f"vpeer {name} "
        for form in forms(args):
            line = before
            for token in re.sub(r"\[-[^\]]*\]", "", form).split():
                words = set(re.findall(r"[a-z][a-z-]*=?", token)) if not re.search("[A-Z]", token) else \
                    set(re.findall(r"[a-z]+=", token))
                if token.startswith("key=value"):
                    words = {key + "=" for key in keys}
                asked.setdefault(line, set()).update(words)
                line += (sorted(words)[0] if words else "x") + " "
            if "..." not in form:
                asked.setdefault(line, set())
    asked["vpeer nonsense "] = set()
    for key, values in keys.items():
        if values:
            asked[f"vpeer port set x {key}="] = set(values.split("|"))
    for (line, want), have in zip(asked.items(), complete(script, *asked)):
        if want - have:
            FOUND.append(f"completion of `{line}`: lacks {' '.join(sorted(want - have))}")
        # Where a file may stand, whatever lies there is offered.
        if have - want and (line.endswith("-") or "FILE" not in verbs.get("".join(line.split()[1:2]), "")):
            FOUND.append(f"completion of `{line}`: offers {' '.join(sorted(have - want))}")


def check_keys(keys):
    documented = {tag.split(":")[0].split()[0] for tag in manual("docs/vpeer.yaml.5", "PORTS")}
    same("docs/vpeer.yaml.5, PORTS", documented - {"name", "addresses"}, set(keys))


def check_package(binary):
    version = run(binary, "--version").split()[1].rstrip(",")
    said = re.match(r"vpeer \(([^)]*)\)", read("dist/debian/changelog")).group(1)
    same("dist/debian/changelog", {said}, {version})
    depends = set(re.findall(r"^ ([a-z0-9.+-]+)", re.search(r"^Build-Depends:(.*?)^\S", read("dist/debian/control"), re.M | re.S).group(1), re.M))
    manifest = {line.split()[0].split("|")[0] for line in read("vendor/manifest").splitlines()
                if re.match(r"[a-z]", line) and "build" in line.split()[2].split(",")}
    same("dist/debian/control, Build-Depends", depends - {"debhelper-compat"}, manifest - {"gcc", "make", "libc6-dev"})


def main():
    binary = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else f"{TOP}/build/vpeer")
    script = f"{os.path.dirname(binary)}/vpeer.bash"
    lines = [line.split("\t") for line in run(binary, "help", "--completion").splitlines()]
    general = lines[0][1]
    verbs = {name: args for name, args in lines[1:] if not name.endswith("=")}
    keys = {name[:-1]: values for name, values in lines[1:] if name.endswith("=")}
    keys["mac"] = "auto"
    check_help(binary, verbs)
    check_manual(verbs, general)
    check_code(verbs, general)
    check_completion(script, verbs, general, keys)
    check_keys(keys)
    check_package(binary)
    print("\n".join(FOUND), end="\n" if FOUND else "")
    return 1 if FOUND else 0


if __name__ == "__main__":
    sys.exit(main())
