# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# gnuplot -e "from='build/bench'; to='docs/plots'" tests/bench/plots.gp: what report.py has written, as SVG.
set datafile separator "\t"
set datafile missing "?"
set terminal svg size 820,420 font "sans-serif,13" background "white"
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror out
set key outside right top autotitle columnhead
set linetype 1 lc rgb "#1b6ca8" lw 2 pt 7 ps 0.7
set linetype 2 lc rgb "#8fbc5a" lw 2 pt 5 ps 0.7
set linetype 3 lc rgb "#c9a227" lw 2 pt 9 ps 0.8
set linetype 4 lc rgb "#c0504d" lw 2 pt 11 ps 0.8
set linetype 5 lc rgb "#999999" lw 2 pt 13 ps 0.8

rows(name) = int(system(sprintf("wc -l <%s/%s.dat", from, name))) - 1
file(name) = sprintf("%s/%s.dat", from, name)

if (rows("peers") > 0) {
	set output to."/peers.svg"
	set title "Frames forwarded by one CPU"
	set ylabel "Mpps"
	set yrange [0:*]
	set style data histogram
	set style histogram cluster gap 1
	set style fill solid 0.9
	plot for [c=2:6] file("peers") using c:xtic(1) lt c-1
}

set style data linespoints
if (rows("sizes") > 0) {
	set output to."/sizes.svg"
	set title "TAP to TAP, by size"
	set xlabel "bytes"
	set ylabel "Mpps"
	set logscale x 2
	plot for [c=2:5] file("sizes") using 1:c lt c-1
}

if (rows("scale") > 0) {
	set output to."/scale.svg"
	set title "Injected frames to all ports at random, 64 MACs each"
	set xlabel "ports"
	set logscale x 2
	plot for [c=2:4] file("scale") using 1:c lt c-1
}

unset logscale
set key off
set xlabel "ns"
unset ylabel
set style fill solid 0.9
set yrange [*:*] reverse
set xrange [0:*]
set grid noytics xtics
do for [hook in "xdp tc live"] {
	if (rows("stages-".hook) > 0) {
		set output to."/stages-".hook.".svg"
		set title "P10-".hook.": nanoseconds a frame"
		plot file("stages-".hook) using (0.5*column(2)):0:(0.5*column(2)):(0.35):ytic(1) with boxxyerror lt 1
	}
}
