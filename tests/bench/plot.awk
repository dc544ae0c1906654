# Draws cost against the number of nodes, both axes logarithmic, from the JSON of fleet.sh: each object that has a number of nodes; SVG on stdout.
function number(key) { return match($0, "\"" key "\":[0-9.]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : "" }
function x(n) { return left + width * log(n / low_x) / log(high_x / low_x) }
function y(v) { return top + height * (1 - log((v < 1 ? 1 : v) / low_y) / log(high_y / low_y)) }
function word(v) { return v >= 1000 ? v / 1000 "k" : v }
function line(values, colour, name, row,    i, points) {
	for (i = 1; i <= count; i++) {
		points = points sprintf("%.1f,%.1f ", x(nodes[i]), y(values[i]))
		printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x(nodes[i]), y(values[i]), colour
	}
	printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", points, colour
	printf "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", left + 12, top + height + 72 + 18 * row, colour, name
}
BEGIN {
	RS = "}"
	left = 70; top = 40; width = 560; height = 340; low_y = 1; high_y = 100000
}
number("nodes") {
	count++
	nodes[count] = number("nodes")
	last[count] = number("last_ms")
	cpu[count] = number("admin_cpu_us") / nodes[count]
	memory[count] = number("memory_per_node")
	storm[count] = number("storm_ms")
}
END {
	if (!count)
		exit 1
	low_x = nodes[1]; high_x = nodes[count] > low_x ? nodes[count] : low_x * 10
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", \
		left + width + 40, top + height + 145
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	printf "<text x=\"%d\" y=\"22\" font-size=\"15\">One release, and what a cluster of N nodes costs its admin</text>\n", left
	for (v = low_y; v <= high_y; v *= 10) {
		printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", left, left + width, y(v), y(v)
		printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8, y(v) + 4, word(v)
	}
	for (i = 1; i <= count; i++)
		printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x(nodes[i]), top + height + 20, nodes[i]
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">nodes</text>\n", left + width / 2, top + height + 45
	line(last, "#c0392b", "commit to the last node holding the verified release, ms", 0)
	line(cpu, "#2471a3", "processor time of the admin for each node and release, microseconds", 1)
	line(memory, "#1e8449", "memory of the admin for each connected node, bytes", 2)
	line(storm, "#7d3c98", "all nodes back after a restart of the admin, ms", 3)
	print "</svg>"
}
