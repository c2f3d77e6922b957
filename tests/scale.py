#!/usr/bin/env python3
"""Draws what build/tests/scale predicts: speed-up and efficiency over ranks, as SVG.
usage: mpirun -n 4 build/tests/scale | tests/scale.py > data/scaling.svg"""
import math
import re
import sys

RANKS = [4, 16, 64, 256, 1024]
COLOURS = {'LeNet5': '#d1495b', 'CIFAR net': '#00798c', 'LSTM': '#7a5195'}
WIDTH, HEIGHT, TOP, LEFT = 330, 230, 40, 50

rows, network = [], None
for line in sys.stdin:
    cells = [c.strip() for c in line.strip().strip('|').split('|')]
    if cells[0].startswith('predicted'):
        network = cells[0].split(', ')[1]
    elif network and cells[0] in COLOURS:
        values = [float(re.match(r'[\d.]+', c).group()) for c in cells[2:]]
        rows.append((network, cells[0], 'times faster' in cells[1], values))
if len(rows) != 12:
    sys.exit(f'scale.py: {len(rows)} rows of predictions, not 12')


def panel(left, title, ticks, place, strong):
    """One diagram: its axes, then a line for each net and network."""
    def x(ranks):
        return left + WIDTH * math.log2(ranks) / 10
    yield f'<text x="{left}" y="{TOP - 16}">{title}</text>'
    for value, text in ticks:
        y = TOP + HEIGHT * (1 - place(value))
        yield f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#ccc"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    for ranks in [1] + RANKS:
        yield f'<text x="{x(ranks):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{ranks:,}</text>'
    for name, net, is_strong, values in rows:
        if is_strong == strong:
            points = zip([1] + RANKS, [1 if strong else 100] + values)
            path = ' '.join(f'{x(r):.1f},{TOP + HEIGHT * (1 - place(v)):.1f}' for r, v in points)
            dash = '' if name.startswith('100') else ' stroke-dasharray="5 4"'
            yield (f'<polyline points="{path}" fill="none" stroke="{COLOURS[net]}" '
                   f'stroke-width="2"{dash}/>')


print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (LEFT + WIDTH) + 40}" '
      f'height="{TOP + HEIGHT + 70}" font-family="sans-serif" font-size="12">')
print('<rect width="100%" height="100%" fill="white"/>')
for part in panel(LEFT, 'Predicted: times faster, 1,024 samples a step',
                  [(n, f'{n:,}') for n in [1] + RANKS], lambda v: math.log2(v) / 10, True):
    print(part)
for part in panel(2 * LEFT + WIDTH + 10, 'Predicted: efficiency in %, 32 samples a rank',
                  [(n, str(n)) for n in range(0, 101, 20)], lambda v: v / 100, False):
    print(part)
legend = [(colour, '', net) for net, colour in COLOURS.items()]
legend += [('#555', '', '100 Gb/s'), ('#555', ' stroke-dasharray="5 4"', '10 Gb/s')]
for i, (colour, dash, text) in enumerate(legend):
    x, y = LEFT + 130 * i, TOP + HEIGHT + 48
    print(f'<path d="M{x} {y - 4}h24" stroke="{colour}" stroke-width="2"{dash}/>'
          f'<text x="{x + 30}" y="{y}">{text}</text>')
print(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 33}" text-anchor="middle">ranks</text>')
print('</svg>')
