package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// The picture's size and margins in pixels.
const (
	width, height = 760, 460
	left, right   = 90, 30
	top, bottom   = 60, 100
	legendLine    = 18
)

// Colours that people with any kind of colour vision can tell apart (Okabe and
// Ito, "Color Universal Design"); with the shapes of the dots they repeat after
// twenty-one series.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// shapes of dots around (0, 0), as paths.
var shapes = []string{
	"M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", // circle
	"M-4 -4h8v8h-8z",                      // square
	"M0 -5L5 4H-5z",                       // triangle
}

// canvas writes elements.
type canvas struct{ bytes.Buffer }

func (c *canvas) add(format string, args ...any) { fmt.Fprintf(c, format+"\n", args...) }

// text writes a text around (x, y); anchor is start, middle or end, more further
// attributes.
func (c *canvas) text(x, y float64, anchor, more, text string) {
	c.add(`<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`, x, y, anchor, more, escape(text))
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// svg draws the plot. REQUIRES: there are points.
func (p *plot) svg() []byte {
	lines := p.lines()
	highX, highY := 0.0, 0.0
	for _, q := range p.points {
		highX, highY = max(highX, q.x), max(highY, q.y)
	}
	x, y := newScale(highX, left, width-right), newScale(highY, height-bottom, top)
	legend := 0
	if p.seriesName != "" {
		legend = len(lines)
	}
	full := height + legend*legendLine + len(p.sources)*legendLine
	c := &canvas{}
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc" font-family="sans-serif" font-size="13">`,
		width, full, width, full)
	c.add(`<title id="title">%s</title>`, escape(p.title))
	c.add(`<desc id="desc">%s</desc>`, escape(p.describe(lines)))
	c.add(`<rect width="%d" height="%d" fill="#ffffff"/>`, width, full)
	c.text(width/2, 30, "middle", ` font-size="17"`, p.title)
	p.axes(c, &x, &y)
	for i := range lines {
		lines[i].draw(c, i, &x, &y)
	}
	at := float64(height - bottom + 70)
	for i := range lines[:legend] {
		c.dot(i, left+6, at-4)
		c.text(left+20, at, "start", "", p.seriesName+" "+lines[i].name)
		at += legendLine
	}
	for _, s := range p.sources {
		c.text(left, at, "start", ` font-size="11" fill="#444444"`, s)
		at += legendLine
	}
	c.add("</svg>")
	return c.Bytes()
}

// describe is the plot in words, for those who do not see it.
func (p *plot) describe(lines []series) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %s, medians.", p.yLabel, p.xLabel)
	for i := range lines {
		if p.seriesName != "" {
			fmt.Fprintf(&b, " %s %s:", p.seriesName, lines[i].name)
		}
		for j, m := range lines[i].median {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, " %s at %s", label(m.y), label(m.x))
		}
		b.WriteByte('.')
	}
	return b.String()
}

func (p *plot) axes(c *canvas, x, y *scale) {
	for _, v := range y.ticks() {
		c.add(`<path d="M%d %.1fH%d" stroke="#dddddd"/>`, left, y.at(v), width-right)
		c.text(left-8, y.at(v)+4, "end", "", label(v))
	}
	for _, v := range x.ticks() {
		c.add(`<path d="M%.1f %dv5" stroke="#000000"/>`, x.at(v), height-bottom)
		c.text(x.at(v), height-bottom+20, "middle", "", label(v))
	}
	c.add(`<path d="M%d %dV%dH%d" stroke="#000000" fill="none"/>`, left, top, height-bottom, width-right)
	c.text((left+width-right)/2, height-bottom+42, "middle", "", p.xLabel)
	const middle = (top + height - bottom) / 2
	c.text(20, middle, "middle", fmt.Sprintf(` transform="rotate(-90 20 %d)"`, middle), p.yLabel)
}

// draw adds a line through the medians and a dot for every run. number chooses
// colour and shape.
func (s *series) draw(c *canvas, number int, x, y *scale) {
	var path strings.Builder
	for i, m := range s.median {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x.at(m.x), y.at(m.y))
	}
	c.add(`<path d="%s" stroke="%s" stroke-width="2" fill="none"/>`, path.String(), colours[number%len(colours)])
	for _, r := range s.runs {
		c.dot(number, x.at(r.x), y.at(r.y))
	}
}

func (c *canvas) dot(number int, x, y float64) {
	c.add(`<path d="%s" transform="translate(%.1f %.1f)" fill="%s"/>`, shapes[number%len(shapes)], x, y, colours[number%len(colours)])
}
