#!/usr/bin/python3
"""Compares random graphs with PyTorch, live: outputs, losses, gradients of parameters and inputs,
accumulated gradients and a few steps of an optimizer, for every instruction set of this machine and
one to three threads, with samples of different lengths where there are sequences.

    tests/live.py [GRAPHS [FIRST]]     GRAPHS graphs (200) from number FIRST (0); the last line is
                                       "live: N passed, N failed"
    tests/live.py 1 1234 --show        one graph and each of its errors

PyTorch computes everything twice, in float64, which is the reference, and in float32. An error is
the greatest difference from the reference over the reference's root mean square (for a gradient at
least 3 % of the greatest one of its step, for some are 0 but for rounding). It may be
FLOOR (WINOGRAD where a convolution takes that way) or OWN times PyTorch's own greatest float32
error so far, whichever is more: some graphs magnify every rounding, as a layer norm of nearly equal
numbers does. Where PyTorch's own is above DOUBT the graph proves nothing, and is left out.

A graph whose reference comes within KINK of a kink (of a relu at 0, of two nearly equal numbers in
a window) has no one right gradient in float32, so its inputs are drawn again. PyTorch alone decides
what is left out or drawn again.
"""
import collections
import ctypes
import multiprocessing
import os
import random
import subprocess
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print('skipped the comparison with PyTorch: python3-torch is not installed')
    print('live: 0 passed, 0 failed, 1 skipped')
    sys.exit(0)

FLOOR, WINOGRAD, OWN = 2e-5, 3e-4, 50 # PyTorch sums a batch norm in float64
DOUBT, KINK = 1e-3, 3e-5
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ISAS = {1: 'scalar', 2: 'sse2', 3: 'avx2', 4: 'avx512', 5: 'neon'}
torch.set_num_threads(1)


def engine():
    folder = os.path.join(HERE, os.environ.get('BUILD', 'build'), 'tests')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, 'liblive.so')
    sources = [os.path.join(HERE, f) for f in ('nn.c', 'nn.h', 'tests/live.c')]
    if not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources)):
        subprocess.run([os.environ.get('CC', 'cc'), '-std=c99', '-O2', '-shared', '-fPIC', '-o',
                        path, sources[-1], '-lm', '-lpthread'], check=True)
    lib = ctypes.CDLL(path)
    for name in ('live_create', 'nn_output', 'nn_input_gradient'):
        getattr(lib, name).restype = ctypes.c_void_p
    for name in ('live_name', 'live_param', 'nn_error'):
        getattr(lib, name).restype = ctypes.c_char_p
    return lib


LIB = engine()


# --- One description, which both sides are built from -------------------------------------------

Node = collections.namedtuple('Node', 'kind a b v shape')


class Graph:
    """nodes as Node; shape without the batch."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.nodes, self.inputs = [], []
        self.n = self.r.randint(3, 6)  # a batch norm of two numbers says +-1, whatever they are
        self.winograd = False
        self.describe()

    def add(self, kind, shape, a=-1, b=-1, v=()):
        self.nodes.append(Node(kind, a, b, tuple(v), tuple(shape)))
        return len(self.nodes) - 1

    def shape(self, k):
        return self.nodes[k].shape

    def add_input(self):
        r = self.r
        kind = r.choice(['image', 'image', 'sequence', 'vector', 'tokens'])
        if kind == 'image':
            s = (r.choice([1, 2, 3, 4, 5, 6, 17, 32]), r.randint(3, 11), r.randint(3, 11))
        elif kind == 'sequence':
            s = (r.randint(2, 7), r.randint(1, 9))
        elif kind == 'vector':
            s = (r.randint(1, 20),)
        else:
            s = (r.randint(2, 7),)
        if self.inputs and len(self.shape(self.inputs[0])) == 2 or \
                self.inputs and self.nodes[self.inputs[0]].kind == 'tokens':
            if kind in ('sequence', 'tokens'):  # lengths are of all inputs
                s = (self.shape(self.inputs[0])[0],) + s[1:]
        k = self.add(kind, s, v=s)
        self.inputs.append(k)
        if kind == 'tokens':
            words, width = 7, r.randint(1, 9)
            k = self.add('embedding', (s[0], width), k, v=(words, width))
        return k

    def describe(self):
        r = self.r
        last = self.add_input()
        others = []
        self.whole = r.random() < .4  # samples of full length, which a few layers want
        for _ in range(r.randint(1, 9)):
            if len(self.inputs) < 2 and r.random() < .12:
                others.append(last)
                last = self.add_input()
            else:
                if r.random() < .3:
                    others.append(last)
                last = self.layer(last, others)
        if others and r.random() < .7:
            last = self.join(last, r.choice(others))
        if r.random() < .6:
            s = self.shape(last)
            if len(s) == 3:
                last = self.layer_named(last, r.choice(['flatten', 'global_avg']))
            last = self.layer_named(last, 'linear')
        self.output = last
        self.losses, self.labels, self.values = [], 0, 0
        for x in [last] + ([r.choice(others)] if others and r.random() < .3 else []):
            self.add_loss(x)

    def add_loss(self, x):
        r, s = self.r, self.shape(x)
        kinds = ['squared_error', 'binary_cross_entropy', 'huber', 'absolute_error']
        if (s[0] if len(s) == 3 else s[-1]) > 1:
            kinds += ['cross_entropy'] * 5
        kind = r.choice(kinds)
        count = 1
        for d in s:
            count *= d
        if kind == 'cross_entropy':
            count //= s[0] if len(s) == 3 else s[-1]
        known = self.labels if kind == 'cross_entropy' else self.values
        begin = r.choice([0, known])
        if kind == 'cross_entropy':
            self.labels = max(known, begin + count)
        else:
            self.values = max(known, begin + count)
        v = (r.choice([1, 1, .3]), int(r.random() < .2), begin,
             r.choice([0, .1]) if kind == 'cross_entropy' else 0,
             r.choice([-1, 1]) if kind == 'cross_entropy' else -1, .7 if kind == 'huber' else 1)
        self.losses.append(self.add(kind, (), x, v=v))
        self.loss_sizes = getattr(self, 'loss_sizes', []) + [count]

    def join(self, a, b):
        s, t = self.shape(a), self.shape(b)
        if s == t and self.r.random() < .6:
            return self.add(self.r.choice(['add', 'multiply']), s, a, b)
        if len(s) > 1 and t == ((s[0] if len(s) == 3 else s[1]),) and self.r.random() < .8:
            return self.add('multiply', s, a, b)
        for axis in self.r.sample(range(len(s)), len(s)):
            if len(s) == len(t) and s[:axis] + s[axis + 1:] == t[:axis] + t[axis + 1:] and \
                    (len(s) != 2 or axis == 1 or self.whole):
                return self.add('concat', s[:axis] + (s[axis] + t[axis],) + s[axis + 1:], a, b,
                                (axis,))
        flat = [k if len(self.shape(k)) == 1 else self.layer_named(k, 'flatten') for k in (a, b)]
        return self.add('concat', (self.shape(flat[0])[0] + self.shape(flat[1])[0],), *flat, (0,))

    def layer(self, x, others):
        s = self.shape(x)
        size = 1
        for d in s:
            size *= d
        if size > 3000:
            return self.layer_named(x, {3: 'max_pool', 2: 'last_step', 1: 'linear'}[len(s)])
        if others and self.r.random() < .15:
            return self.join(x, self.r.choice(others))
        point = ['relu', 'leaky_relu', 'elu', 'gelu', 'silu', 'softplus', 'hard_sigmoid',
                 'hard_swish', 'clamp', 'tanh', 'sigmoid', 'softmax', 'prelu', 'prelu']
        image = ['conv'] * 6 + ['max_pool', 'avg_pool'] * 2 + \
                ['adaptive', 'global_max', 'global_avg', 'pad', 'slice', 'upsample', 'flatten',
                 'bilinear', 'conv_transpose', 'conv_transpose', 'reshape', 'to_sequence']
        sequence = ['rnn', 'lstm', 'gru', 'conv1d'] * 2 + [
            'linear', 'last_step', 'reverse', 'global_max', 'global_avg', 'flatten', 'slice',
            'max_pool1d', 'avg_pool1d', 'reshape', 'to_image', 'pad1d', 'upsample1d', 'adaptive1d']
        own = {3: image, 2: sequence, 1: ['linear', 'linear', 'slice', 'reshape']}[len(s)]
        return self.layer_named(x, self.r.choice(
            [self.r.choice(own), self.r.choice(own), self.r.choice(point),
             self.r.choice(['batch_norm', 'layer_norm', 'group_norm'])]))

    @staticmethod
    def windows(size, v):
        """How many windows a pool has: v = kernel, stride, pad, ceil."""
        count = (size + 2 * v[2] - v[0] + (v[1] - 1 if v[3] else 0)) // v[1] + 1
        return count - 1 if v[3] and (count - 1) * v[1] >= size + v[2] else count

    def layer_named(self, x, kind):
        r, s = self.r, self.shape(x)
        add = lambda shape, v=(): self.add(kind, shape, x, v=v)
        if kind == 'linear':
            out = r.randint(2, 12)
            return add(s[:-1] + (out,), (out, r.randint(0, 1)))
        if kind == 'conv':
            groups = r.choice([g for g in range(1, s[0] + 1) if s[0] % g == 0] + [1] * 6)
            out = groups * r.randint(1, max(1, 12 // groups)) if r.random() < .8 else 32 * groups
            k = [r.randint(1, min(5, d)) for d in s[1:]]
            if r.random() < .4:
                k = [3, 3]
            stride = [r.choice([1, 1, 2]) for _ in k]
            pad = [r.randint(0, e) for e in k]
            dilation = [r.choice([1, 1, 1, 2]) for _ in k]
            to = [(d + 2 * p - e * (f - 1) - 1) // t + 1
                  for d, p, e, f, t in zip(s[1:], pad, dilation, k, stride)]
            if min(to) < 1 or out * to[0] * to[1] > 6000:
                return self.layer_named(x, 'relu')
            self.winograd |= k[0] == k[1] and k[0] in (3, 5) and s[0] // groups >= 16
            return add([out] + to, (out, *k, *stride, *pad, *dilation, groups, r.randint(0, 1)))
        if kind == 'conv_transpose':
            groups = r.choice([g for g in range(1, s[0] + 1) if s[0] % g == 0] + [1] * 3)
            out = groups * r.randint(1, max(1, 12 // groups))
            k, stride, dilation, pad, more = [], [], [], [], []
            for _ in range(2):
                k.append(r.randint(1, 4))
                stride.append(r.choice([1, 2, 3]))
                dilation.append(r.choice([1, 1, 2]))
                pad.append(r.randint(0, dilation[-1] * (k[-1] - 1)))
                more.append(r.randint(0, max(stride[-1], dilation[-1]) - 1))
            to = [(d - 1) * t - 2 * p + e * (f - 1) + o + 1
                  for d, t, p, e, f, o in zip(s[1:], stride, pad, dilation, k, more)]
            if min(to) < 1 or out * to[0] * to[1] > 6000:
                return self.layer_named(x, 'relu')
            return add([out] + to, (out, *k, *stride, *pad, *dilation, groups, r.randint(0, 1),
                                    *more))
        if kind == 'conv1d':
            groups = r.choice([g for g in range(1, s[1] + 1) if s[1] % g == 0] + [1] * 3)
            out, k, stride = groups * r.randint(1, max(1, 12 // groups)), r.randint(1, 4), \
                r.choice([1, 1, 2])
            pad, dilation = r.randint(0, k), r.choice([1, 1, 2])
            to = (s[0] + 2 * pad - dilation * (k - 1) - 1) // stride + 1
            if to < 1:
                return self.layer_named(x, 'linear')
            return add([to, out], (out, k, stride, pad, dilation, groups, r.randint(0, 1)))
        if kind in ('max_pool1d', 'avg_pool1d'):
            k, stride = r.randint(1, min(4, s[0])), r.randint(1, 3)
            v = (k, stride, r.randint(0, k // 2), r.randint(0, 1),
                 int(kind == 'avg_pool1d' and r.randint(0, 1)))
            return add([self.windows(s[0], v), s[1]], v)
        if kind in ('max_pool', 'avg_pool'):
            k = [r.randint(1, min(4, d)) for d in s[1:]]
            stride = [r.randint(1, 3) for _ in k]
            pad = [r.randint(0, e // 2) for e in k]
            ceil, exclude = r.randint(0, 1), kind == 'avg_pool' and r.randint(0, 1)
            to = [self.windows(d, (e, t, p, ceil)) for d, e, p, t in zip(s[1:], k, pad, stride)]
            if min(to) < 1:
                return self.layer_named(x, 'flatten')
            return add([s[0]] + to, (*k, *stride, *pad, ceil, int(exclude)))
        if kind == 'adaptive':
            to = [r.randint(1, 5), r.randint(1, 5)]
            return add([s[0]] + to, to)
        if kind in ('global_max', 'global_avg'):
            return add([s[0] if len(s) == 3 else s[1]])
        if kind == 'pad1d':
            v = [r.randint(0, 2), r.randint(0, 2)]
            return add([s[0] + v[0] + v[1], s[1]], v)
        if kind in ('upsample1d', 'adaptive1d'):
            v = r.randint(1, 3)
            return add([s[0] * v if kind == 'upsample1d' else v, s[1]], (v,))
        if kind == 'pad':
            v = [r.randint(0, 2) for _ in range(4)]
            return add([s[0], s[1] + v[0] + v[1], s[2] + v[2] + v[3]], v)
        if kind == 'slice':
            axis = r.randrange(len(s))
            count = r.randint(1, s[axis])
            return add(s[:axis] + (count,) + s[axis + 1:],
                       (axis, r.randint(0, s[axis] - count), count))
        if kind in ('reshape', 'to_sequence', 'to_image') and not self.whole and \
                (kind == 'to_sequence' or len(s) == 2 or self.has_steps()):
            return self.layer_named(x, 'flatten')
        if kind == 'reshape':
            size = 1
            for d in s:
                size *= d
            first = r.choice([d for d in range(1, size + 1) if size % d == 0])
            second = r.choice([d for d in range(1, size // first + 1) if size // first % d == 0])
            to = r.choice([[size], [first, size // first],
                           [first, second, size // first // second]])
            if len(to) == 2 and not self.whole:
                to = [size]
            return add(to, [len(to)] + to)
        if kind == 'to_sequence':
            columns = r.randint(0, 1)
            return add([s[2], s[0] * s[1]] if columns else [s[1], s[0] * s[2]], (columns,))
        if kind == 'to_image':
            channels = r.choice([d for d in range(1, s[1] + 1) if s[1] % d == 0])
            columns, other = r.randint(0, 1), s[1] // channels
            return add([channels, other, s[0]] if columns else [channels, s[0], other],
                       (channels, columns))
        if kind in ('upsample', 'bilinear'):
            v = (r.randint(1, 2), r.randint(1, 3))
            return add([s[0], s[1] * v[0], s[2] * v[1]], v)
        if kind == 'flatten':
            size = 1
            for d in s:
                size *= d
            return add([size])
        if kind in ('rnn', 'lstm', 'gru'):
            hidden = r.randint(1, 12) if r.random() < .8 else 40
            both = int(r.random() < .4)
            v = (hidden, r.choice([1, 1, 2]), int(kind == 'rnn' and r.randint(0, 1)), both)
            size, state = hidden * v[1] * (1 + both) * (1 + (kind == 'lstm')), -1
            if r.random() < .3:  # of another cell, or of a vector
                if r.random() < .5:
                    state = self.add('final_state', (size,), add([s[0], hidden * (1 + both)], v))
                else:
                    state = self.add('linear', (size,), self.layer_named(x, 'global_avg'),
                                     v=(size, 0))
            y = self.add(kind, [s[0], hidden * (1 + both)], x, state, v)
            return self.add('final_state', (size,), y) if r.random() < .15 else y
        if kind == 'last_step':
            return add([s[1]])
        if kind.endswith('_norm'):
            if kind == 'group_norm' and len(s) == 1:
                kind = 'layer_norm'
            c = s[1] if len(s) == 2 else s[0]
            groups = r.choice([d for d in range(1, c + 1) if c % d == 0]) \
                if kind == 'group_norm' else 1
            usual = r.random() < .5
            frozen = int(kind == 'batch_norm' and r.random() < .3)
            momentum = r.choice([.1, .4, 1]) if kind == 'batch_norm' and not frozen else .1
            v = (1e-5, .1, groups, 0, 0) if usual else \
                (r.choice([1e-3, 1e-2]), momentum, groups, r.randint(0, 1), frozen)
            return self.add(kind, s, x, v=v)
        if kind == 'prelu':
            return add(s, (r.randint(0, 1),))
        v = {'leaky_relu': (.2,), 'elu': (r.choice([1, .6]),), 'clamp': (-.7, .9)}.get(kind, ())
        return add(s, v)

    def has_steps(self):
        return any(self.nodes[k].kind in ('sequence', 'tokens') for k in self.inputs)

    def steps(self):
        return max([self.shape(k)[0] for k in self.inputs
                    if self.nodes[k].kind in ('sequence', 'tokens')] or [0])


# --- PyTorch's side -----------------------------------------------------------------------------

class Reference:
    def __init__(self, g, dtype):
        self.g, self.dtype, self.modules, self.kink = g, dtype, {}, 1.0
        self.states = {}
        for k, n in enumerate(g.nodes):
            m = self.module(n, g.shape(n.a) if n.a >= 0 else ())
            if m is not None:
                self.modules[k] = m.to(dtype)

    @staticmethod
    def module(n, s):
        v = n.v
        if n.kind == 'linear':
            return torch.nn.Linear(s[-1], v[0], bias=not v[1])
        if n.kind == 'conv':
            return torch.nn.Conv2d(s[0], v[0], v[1:3], v[3:5], v[5:7], v[7:9], v[9], not v[10])
        if n.kind == 'conv_transpose':
            return torch.nn.ConvTranspose2d(s[0], v[0], v[1:3], v[3:5], v[5:7], v[11:13], v[9],
                                            not v[10], v[7:9])
        if n.kind == 'conv1d':
            return torch.nn.Conv1d(s[1], v[0], v[1], v[2], v[3], v[4], v[5], not v[6])
        if n.kind == 'embedding':
            return torch.nn.Embedding(*v)
        channels = (s[-1] if len(s) == 2 else s[0]) if s else 0
        if n.kind == 'batch_norm':
            return torch.nn.BatchNorm1d(channels, v[0], v[1], not v[3])
        if n.kind == 'layer_norm':
            return torch.nn.LayerNorm(s if len(s) == 3 else s[-1:], v[0], not v[3])
        if n.kind == 'group_norm':
            return torch.nn.GroupNorm(v[2], channels, v[0], not v[3])
        if n.kind == 'prelu':
            return torch.nn.PReLU(channels if v[0] else 1)
        if n.kind == 'rnn':
            return torch.nn.RNN(s[1], v[0], v[1], nonlinearity='relu' if v[2] else 'tanh',
                                batch_first=True, bidirectional=bool(v[3]))
        if n.kind in ('lstm', 'gru'):
            return getattr(torch.nn, n.kind.upper())(s[1], v[0], v[1], batch_first=True,
                                                     bidirectional=bool(v[3]))
        return None

    def near(self, x, *points):
        """How near x comes to a kink, beside its size; being on it exactly is no doubt."""
        x = x.detach()
        size = float(x.abs().mean()) + 1e-30
        for p in points:
            d = (x - p).abs()
            d = d[d > 0]
            if d.numel():
                self.kink = min(self.kink, float(d.min()) / size)

    def near_windows(self, x, window, stride, pad):
        x = F.pad(x.detach(), (pad[1], pad[1] + 8, pad[0], pad[0] + 8), value=-1e30)
        w = F.unfold(x, window, stride=stride).view(x.shape[0], x.shape[1],
                                                    window[0] * window[1], -1)
        self.near_top(w, 2, float(x[x > -1e29].abs().mean()))

    def near_top(self, x, axis, size):
        if x.shape[axis] > 1:
            top = x.detach().topk(2, axis).values
            d = (top.select(axis, 0) - top.select(axis, 1)).abs()
            d = d[d > 0]
            if d.numel():
                self.kink = min(self.kink, float(d.min()) / (size + 1e-30))

    def forward(self, inputs, lengths, training):
        """Steps past a sample's end are 0; self.ends[k] has each sample's own steps, or None."""
        g, out = self.g, []
        self.ends = []
        for k, n in enumerate(g.nodes[:g.losses[0]]):
            end = lengths if n.a < 0 and len(n.shape) + (n.kind == 'tokens') == 2 else None
            if n.a < 0:
                y = inputs[g.inputs.index(k)]
            else:
                end = self.ends[n.a]
                y = self.layer(k, n, out[n.a], out[n.b] if n.b >= 0 else None, end, training)
                end = self.end_of(n, end)
                if n.b >= 0 and end is not None and self.ends[n.b] is not None:
                    end = torch.minimum(end, self.ends[n.b])  # steps that both have
            if end is not None and len(n.shape) == 2:
                if int(end.min()) < 1:
                    self.kink = 0  # a sample too short for this net: it is drawn again
                    end = end.clamp(min=1)
                y = y * self.inside(end, n.shape[0])[:, :, None]
            self.ends.append(end if len(n.shape) == 2 or n.kind == 'tokens' else None)
            out.append(y)
        return out

    @staticmethod
    def inside(end, steps):
        return torch.arange(steps)[None, :] < end[:, None]

    def end_of(self, n, end):
        if end is None:
            return None
        v = n.v
        if n.kind == 'conv1d':
            return torch.div(end + 2 * v[3] - v[4] * (v[1] - 1) - 1, v[2],
                             rounding_mode='floor') + 1
        if n.kind == 'pad1d':
            return end + v[0] + v[1]
        if n.kind == 'upsample1d':
            return end * v[0]
        if n.kind == 'adaptive1d':
            return torch.full_like(end, v[0])
        if n.kind in ('max_pool1d', 'avg_pool1d'):
            return torch.tensor([self.g.windows(int(e), v) if int(e) + 2 * v[2] >= v[0] else 0
                                 for e in end])
        if n.kind == 'slice' and v[0] == 0:
            return (end - v[1]).clamp(max=v[2])
        return end

    def each_alone(self, x, end, steps, f):
        """f of [1,F,T] for each sample's own steps, put together as [N,steps,out]."""
        x = x.transpose(1, 2)
        if end is None:
            return f(x).transpose(1, 2)
        rows = []
        for i, e in enumerate(end):
            try:
                y = f(x[i:i + 1, :, :max(int(e), 1)])
            except RuntimeError:  # too short for the window: drawn again
                self.kink = 0
                y = f(x[i:i + 1])[:, :, :0]
            rows.append(F.pad(y, (0, steps - y.shape[2])))
        return torch.cat(rows).transpose(1, 2)

    def layer(self, k, n, x, b, lengths, training):
        v, m, s = n.v, self.modules.get(k), self.g.shape(n.a)
        image = len(s) == 3
        axis = 1 if len(s) != 2 else 2
        if n.kind in ('linear', 'conv', 'conv_transpose', 'layer_norm'):
            return m(x)
        if n.kind == 'embedding':
            return m(x.long())
        if n.kind == 'batch_norm':
            m.train(training and not v[4])
            if len(s) == 1:
                return m(x)
            if image:
                return m(x.flatten(2)).view_as(x)
            valid = torch.ones(x.shape[:2], dtype=torch.bool) if lengths is None else \
                self.inside(lengths, s[0])
            y = torch.zeros_like(x)
            y[valid] = m(x[valid])
            return y
        if n.kind in ('rnn', 'lstm', 'gru'):
            state = None
            if b is not None:
                state = b.reshape(len(b), -1, v[1] * (1 + v[3]), v[0]).permute(1, 2, 0, 3)
                state = tuple(t.contiguous() for t in state)
                state = state if n.kind == 'lstm' else state[0]
            if lengths is None:
                y, state = m(x, state)
            else:
                p = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, True, False)
                y, state = m(p, state)
                y = torch.nn.utils.rnn.pad_packed_sequence(y, True, 0, s[0])[0]
            state = torch.stack(state if n.kind == 'lstm' else (state,))
            self.states[k] = state.permute(2, 0, 1, 3).flatten(1)
            if n.kind == 'rnn' and v[2]:
                self.near(y, 0)
            return y
        if n.kind == 'final_state':
            return self.states[n.a]
        if n.kind == 'max_pool':
            self.near_windows(x, v[0:2], v[2:4], v[4:6])
            return F.max_pool2d(x, v[0:2], v[2:4], v[4:6], ceil_mode=bool(v[6]))
        if n.kind == 'avg_pool':
            return F.avg_pool2d(x, v[0:2], v[2:4], v[4:6], bool(v[6]), not v[7])
        if n.kind == 'adaptive':
            return F.adaptive_avg_pool2d(x, v)
        if n.kind == 'global_max':
            y = x.flatten(2) if image else x.transpose(1, 2)
            if not image and lengths is not None:
                y = y.masked_fill(~self.inside(lengths, s[0])[:, None, :], -1e30)
            self.near_top(y, 2, float(x.detach().abs().mean()))
            return y.max(2).values
        if n.kind == 'global_avg':
            if image:
                return x.flatten(2).mean(2)
            return x.sum(1) / (s[0] if lengths is None else lengths[:, None].to(x.dtype))
        if n.kind == 'pad':
            return F.pad(x, (v[2], v[3], v[0], v[1]))
        if n.kind == 'slice':
            return x.narrow(1 + v[0], v[1], v[2])
        if n.kind == 'reshape':
            return x.reshape(-1, *n.shape)
        if n.kind == 'to_sequence':
            return (x.permute(0, 3, 1, 2) if v[0] else x.permute(0, 2, 1, 3)).flatten(2)
        if n.kind == 'to_image':
            y = x.reshape(x.shape[0], s[0], v[0], -1)
            return y.permute(0, 2, 3, 1) if v[1] else y.permute(0, 2, 1, 3)
        if n.kind == 'bilinear':
            return F.interpolate(x, scale_factor=v, mode='bilinear', align_corners=False)
        if n.kind == 'pad1d':
            return F.pad(x, (0, 0, v[0], v[1]))
        if n.kind == 'upsample1d':
            return x.repeat_interleave(v[0], 1)
        if n.kind == 'adaptive1d':
            return self.each_alone(x, lengths, v[0], lambda t: F.adaptive_avg_pool1d(t, v[0]))
        if n.kind == 'conv1d':
            return self.each_alone(x, lengths, n.shape[0], m)
        if n.kind == 'avg_pool1d':
            return self.each_alone(x, lengths, n.shape[0], lambda t: F.avg_pool1d(
                t, v[0], v[1], v[2], bool(v[3]), not v[4]))
        if n.kind == 'max_pool1d':
            self.near_windows(x.transpose(1, 2)[:, :, None], (1, v[0]), (1, v[1]), (0, v[2]))
            return self.each_alone(x, lengths, n.shape[0], lambda t: F.max_pool1d(
                t, v[0], v[1], v[2], 1, bool(v[3])))
        if n.kind == 'upsample':
            return x.repeat_interleave(v[0], 2).repeat_interleave(v[1], 3)
        if n.kind == 'flatten':
            return x.flatten(1)
        if n.kind == 'last_step':
            at = torch.full((x.shape[0],), s[0]) if lengths is None else lengths
            return x[torch.arange(x.shape[0]), at - 1]
        if n.kind == 'reverse':
            at = torch.full((x.shape[0],), s[0]) if lengths is None else lengths
            step = torch.arange(s[0])[None, :]
            step = torch.where(step < at[:, None], at[:, None] - 1 - step, step)
            return x.gather(1, step[:, :, None].expand_as(x))
        if n.kind == 'add':
            return x + b
        if n.kind == 'multiply':
            if b.dim() < x.dim():
                b = b[:, :, None, None] if image else b[:, None, :]
            return x * b
        if n.kind == 'concat':
            return torch.cat([x, b], 1 + v[0])
        if n.kind == 'group_norm':
            alone = lambda t: m(t) if t.shape[1] * t.shape[2] > v[2] else self.lone(t)
            return m(x) if image else self.each_alone(x, lengths, s[0], alone)
        if n.kind == 'prelu':
            self.near(x, 0)
            return m(x) if len(s) != 2 else m(x.transpose(1, 2)).transpose(1, 2)
        return self.point(n, x, axis)

    def lone(self, t):
        """A group norm of one number, which PyTorch refuses; such samples are drawn again."""
        self.kink = 0
        return t * 0

    def point(self, n, x, axis):
        kinks = {'relu': (0,), 'leaky_relu': (0,), 'hard_sigmoid': (-3, 3), 'hard_swish': (-3, 3),
                 'clamp': n.v, 'elu': (0,) if n.v and n.v[0] != 1 else ()}
        self.near(x, *kinks.get(n.kind, ()))
        if n.kind == 'leaky_relu':
            return F.leaky_relu(x, n.v[0])
        if n.kind == 'elu':
            return F.elu(x, n.v[0])
        if n.kind == 'clamp':
            return torch.clamp(x, *n.v)
        if n.kind == 'softmax':
            return F.softmax(x, axis)
        if n.kind == 'softplus':
            return F.softplus(x, 1, 1e9)
        return {'relu': F.relu, 'gelu': F.gelu, 'silu': F.silu, 'tanh': torch.tanh,
                'sigmoid': torch.sigmoid, 'hard_sigmoid': F.hardsigmoid,
                'hard_swish': F.hardswish}[n.kind](x)

    def loss(self, out, labels, values, weights):
        total, right = 0, 0
        for k, size in zip(self.g.losses, self.g.loss_sizes):
            loss, correct = self.one_loss(self.g.nodes[k], size, out, labels, values, weights)
            total = total + loss
            right = correct if k == self.g.losses[0] else right
        return total, right

    def one_loss(self, n, size, out, labels, values, weights):
        weight, summed, begin, smoothing, ignored, delta = n.v
        y, s, end = out[n.a], self.g.shape(n.a), self.ends[n.a]
        u = torch.ones(y.shape[0]) if weights is None else weights
        u = u.to(y.dtype)[:, None].expand(-1, size)
        if end is not None and len(s) == 2:  # what is past a sample's end weighs nothing
            u = u * self.inside(end, s[0]).repeat_interleave(size // s[0], 1)
        if n.kind == 'cross_entropy':
            y = y.flatten(2).transpose(1, 2) if len(s) == 3 else y.reshape(y.shape[0], -1, s[-1])
            l = labels[:, begin:begin + size].long()
            counted = (l != -1) & (l != ignored) & (u.expand_as(l) >= 0)
            if end is not None and len(s) == 2:
                counted &= self.inside(end, s[0])
            self.near_top(y, 2, float(y.detach().abs().mean()))
            correct = int(((y.argmax(2) == l) & counted).sum())
            e = F.cross_entropy(y.transpose(1, 2), torch.where(counted, l, 0 * l),
                                label_smoothing=smoothing, reduction='none')
            u = u * counted
        else:
            y, t, correct = y.flatten(1), values[:, begin:begin + size].to(y.dtype), 0
            e = y - t
            if n.kind == 'squared_error':
                e = e * e
            elif n.kind == 'binary_cross_entropy':
                e = F.binary_cross_entropy_with_logits(y, t, reduction='none')
            elif n.kind == 'huber':
                self.near(e, delta, -delta)
                e = F.huber_loss(y, t, reduction='none', delta=delta)
            else:
                self.near(e, 0)
                e = e.abs()
        e, total = (e * u).sum(), float(u.sum())
        return weight * (e if summed else e / total if total else e * 0), correct

    def named(self):
        return [(k, name, p) for k, m in self.modules.items()
                for name, p in list(m.named_parameters()) + list(m.named_buffers())
                if name != 'num_batches_tracked']


# With the usual 1e-8 a gradient that is 0 but for rounding, as a bias has before a batch norm, is
# divided by its own size: a step of the full rate in a direction that says nothing.
EPS = 1e-3
OPTIMIZERS = [
    lambda p, v: torch.optim.SGD(p, v[0], v[1], weight_decay=v[2], nesterov=bool(v[3])),
    lambda p, v: torch.optim.Adagrad(p, v[0], weight_decay=v[2], eps=EPS),
    lambda p, v: torch.optim.RMSprop(p, v[0], momentum=v[1], weight_decay=v[2], eps=EPS),
    lambda p, v: torch.optim.Adam(p, v[0], weight_decay=v[2], eps=EPS, amsgrad=bool(v[6])),
    lambda p, v: torch.optim.AdamW(p, v[0], weight_decay=v[2], eps=EPS, amsgrad=bool(v[6]))]


# --- nn's side ----------------------------------------------------------------------------------

def doubles(v, n=16):
    return (ctypes.c_double * n)(*(list(map(float, v)) + [0] * (n - len(v))))


def floats(address, count):
    a = (ctypes.c_float * count).from_address(address)
    return torch.frombuffer(a, dtype=torch.float32).double().clone()


class Engine:
    def __init__(self, g, isa, threads, optimizer, v):
        self.g = g
        self.m = LIB.live_create(g.n, threads, isa)
        if not self.m:
            raise MemoryError('no model')
        self.m = ctypes.c_void_p(self.m)
        for k, n in enumerate(g.nodes):
            at = LIB.live_layer(self.m, n.kind.encode(), n.a, n.b, doubles(n.v))
            if at != k:
                raise AssertionError('%s %s: %s' % (n.kind, n.v, LIB.nn_error(self.m).decode()))
        LIB.live_optimizer(self.m, optimizer, doubles(v))
        self.check(LIB.nn_build(self.m))
        self.params = {}
        for i in range(LIB.nn_param_count(self.m)):
            count, value, gradient = ctypes.c_size_t(), ctypes.c_void_p(), ctypes.c_void_p()
            name = LIB.live_param(self.m, i, ctypes.byref(count), ctypes.byref(value),
                                  ctypes.byref(gradient))
            self.params[name.decode()] = (value.value, gradient.value, count.value)

    def check(self, status):
        if status:
            raise AssertionError('status %d: %s' % (status, LIB.nn_error(self.m).decode()))

    def name(self, k, name):
        return '%s.%s' % (LIB.live_name(self.m, k).decode(), name)

    def put(self, name, t):
        a = t.detach().float().contiguous()
        value, _, count = self.params[name]
        assert count == a.numel(), name
        ctypes.memmove(value, a.data_ptr(), 4 * count)

    def value(self, name):
        return floats(self.params[name][0], self.params[name][2])

    def gradient(self, name):
        return floats(self.params[name][1], self.params[name][2])

    def run(self, inputs, labels, values, lengths, weights, training):
        x = [t.detach().float().contiguous() for t in inputs]
        self.keep = (x, labels.int().contiguous(), values.float().contiguous(),
                     None if lengths is None else lengths.int().contiguous(),
                     None if weights is None else weights.float().contiguous())
        pointers = (ctypes.c_void_p * 2)(*([t.data_ptr() for t in x] + [None])[:2])
        loss, correct = ctypes.c_double(), ctypes.c_int64()
        self.check(LIB.live_run(
            self.m, self.g.n, pointers, ctypes.c_void_p(self.keep[1].data_ptr()),
            ctypes.c_void_p(self.keep[2].data_ptr()),
            ctypes.c_void_p(self.keep[3].data_ptr() if lengths is not None else None),
            ctypes.c_void_p(self.keep[4].data_ptr() if weights is not None else None), training,
            ctypes.byref(loss), ctypes.byref(correct)))
        return loss.value, correct.value

    def output(self, count):
        return floats(LIB.nn_output(self.m), count)

    def input_gradient(self, k, count):
        p = LIB.nn_input_gradient(self.m, k)
        return floats(p, count) if p else None

    def close(self):
        LIB.nn_destroy(self.m)


# --- The comparison -----------------------------------------------------------------------------

def draw(g, seed):
    """Inputs in float32 values, labels, values, lengths, weights of the samples."""
    t = torch.Generator().manual_seed(seed)
    rand = lambda *s: torch.randn(*s, generator=t).float()
    inputs = [torch.randint(0, 7, (g.n,) + g.shape(k), generator=t).float()
              if g.nodes[k].kind == 'tokens' else rand(g.n, *g.shape(k)) for k in g.inputs]
    classes = min([g.shape(g.nodes[k].a)[0 if len(g.shape(g.nodes[k].a)) == 3 else -1]
                   for k in g.losses if g.nodes[k].kind == 'cross_entropy'] or [2])
    labels = torch.randint(-1, classes, (g.n, max(g.labels, 1)), generator=t)
    values = torch.rand((g.n, max(g.values, 1)), generator=t).float()
    weights = torch.rand((g.n,), generator=t).float() if t.initial_seed() % 4 == 0 else None
    lengths = None
    if g.has_steps() and not g.whole and int(torch.randint(0, 4, (1,), generator=t)):
        lengths = torch.randint(1, g.steps() + 1, (g.n,), generator=t)
    return inputs, labels, values, lengths, weights


def results(ref, inputs, labels, values, lengths, weights, make, v, mode):
    """All that is compared, by name, from PyTorch; mode: how many gradients are accumulated."""
    to = {}
    with torch.no_grad():
        to['output'] = ref.forward(inputs, lengths, False)[ref.g.output].flatten().double()
    params = [p for _, _, p in ref.named() if isinstance(p, torch.nn.Parameter)]
    optimizer = make(params, v) if params else None
    for step in range(2):
        x = [t.clone().requires_grad_(ref.g.nodes[k].kind != 'tokens')
             for t, k in zip(inputs, ref.g.inputs)]
        if optimizer:
            optimizer.zero_grad()
        for _ in range(mode):
            for t in x:
                t.grad = None
            loss, correct = ref.loss(ref.forward(x, lengths, True), labels, values, weights)
            if loss.requires_grad:
                loss.backward()
        to['loss %d' % step] = loss.detach().double().reshape(1)
        to['correct %d' % step] = torch.tensor([float(correct)])
        for k, t in enumerate(x):
            if ref.g.nodes[ref.g.inputs[k]].kind != 'tokens':
                to['input %d, step %d' % (k, step)] = \
                    (torch.zeros_like(t) if t.grad is None else t.grad).double().flatten().clone()
        for k, name, p in ref.named():
            if isinstance(p, torch.nn.Parameter):
                grad = torch.zeros_like(p) if p.grad is None else p.grad
                to['gradient %d.%s, step %d' % (k, name, step)] = grad.double().flatten().clone()
                if p.grad is None:
                    p.grad = grad
        if optimizer:
            if v[4]:
                torch.nn.utils.clip_grad_norm_(params, v[4])
            optimizer.step()
    for k, name, p in ref.named():
        to['after %d.%s' % (k, name)] = p.detach().double().flatten().clone()
    return to


def engine_results(e, g, inputs, labels, values, lengths, weights, names, mode):
    to = {}
    size = g.n
    for d in g.shape(g.output):
        size *= d
    e.run(inputs, labels, values, lengths, weights, 0)
    to['output'] = e.output(size)
    for step in range(2):
        for _ in range(mode):
            loss, correct = e.run(inputs, labels, values, lengths, weights, 1)
        to['loss %d' % step] = torch.tensor([loss])
        to['correct %d' % step] = torch.tensor([float(correct)])
        for k, t in enumerate(inputs):
            if g.nodes[g.inputs[k]].kind != 'tokens':
                to['input %d, step %d' % (k, step)] = e.input_gradient(k, t.numel())
        for k, name, _ in names:
            if e.params[e.name(k, name)][1]:
                to['gradient %d.%s, step %d' % (k, name, step)] = e.gradient(e.name(k, name))
        e.check(LIB.nn_step(e.m))
    for k, name, _ in names:
        to['after %d.%s' % (k, name)] = e.value(e.name(k, name))
    return to


def rms(t):
    return float(t.pow(2).mean().sqrt())


def group_of(what):
    """Gradients of one step are measured together: some of them are 0 but for rounding."""
    word, step = what.split()[0], what.split()[-1]
    return 'back ' + step if word in ('gradient', 'input') else word if word == 'after' else what


def bounds(ref, own, winograd):
    """For each result what an error is divided by, and how large it may then be."""
    size, theirs, worst = {}, {}, 0
    for what, want in ref.items():
        size[group_of(what)] = max(size.get(group_of(what), 0), rms(want))
    scale = {what: max(rms(want), 3e-2 * size[group_of(what)], 1e-12) for what, want in ref.items()}
    for what, want in ref.items(): # in the order of computing: later ones hold earlier errors, too
        theirs[what] = float((own[what] - want).abs().max()) / scale[what]
    most = {}
    for what in ref:
        if not what.startswith('correct'):
            worst = max(worst, *(theirs[w] for w in ref if group_of(w) == group_of(what)))
        most[what] = max(WINOGRAD if winograd else FLOOR, OWN * worst)
    return scale, most, theirs, worst


def compare(seed, worst, show):
    """The sentences of what is wrong with a graph."""
    g = Graph(seed)
    r = random.Random(seed * 7 + 1)
    kind = r.randrange(5)
    momentum = r.choice([0, .9]) if kind in (0, 2) else 0
    v = (r.choice([.1, .01]) if kind == 0 else .003, momentum, r.choice([0, .01]),
         int(kind == 0 and momentum > 0 and r.random() < .5), r.choice([0, .5]), EPS,
         int(kind > 2 and r.random() < .5))
    mode = r.choice([1, 1, 2])
    torch.manual_seed(seed)
    start = None
    for attempt in range(200):
        data = draw(g, seed * 1000 + attempt)
        exact = Reference(g, torch.float64)
        if start is None:
            start = {(k, n): (p.detach().float() + (.3 * torch.randn(p.shape) if p.dim() == 1 and
                              not n.startswith('running') else 0)) for k, n, p in exact.named()}
        for k, n, p in exact.named():
            p.data.copy_(start[k, n])
        ref = results(exact, [t.double() for t in data[0]], *data[1:], OPTIMIZERS[kind], v, mode)
        if exact.kink > KINK:
            break
    else:
        return [], 0 # always at a kink, as the greatest of equal numbers is
    single = Reference(g, torch.float32)
    for k, n, p in single.named():
        p.data.copy_(start[k, n])
    own = results(single, data[0], *data[1:], OPTIMIZERS[kind], v, mode)
    scale, bound, theirs, doubt = bounds(ref, own, g.winograd)
    if not doubt < DOUBT:
        return [], 0
    wrong = []
    for isa in (i for i in ISAS if LIB.nn_isa_available(i)):
        e = Engine(g, isa, r.randint(1, 3), kind, v)
        try:
            for k, n, _ in exact.named():
                e.put(e.name(k, n), start[k, n])
            got = engine_results(e, g, *data, exact.named(), mode)
        except AssertionError as why:
            wrong.append('%d on %s: %s' % (seed, ISAS[isa], why))
            continue
        finally:
            e.close()
        for what, want in ref.items():
            if what not in got or got[what] is None:
                wrong.append('%d on %s: %s is missing' % (seed, ISAS[isa], what))
                continue
            err = float((got[what] - want).abs().max()) / scale[what]
            most = 0 if what.startswith('correct') else bound[what]
            worst[what.split()[0]].append(err)
            said = '%d on %-7s %-34s error %.2g of at most %.2g, PyTorch float32 %.2g, rms %.2g' % (
                seed, ISAS[isa], what, err, most, theirs[what], rms(want))
            if show:
                print(said)
            if not err <= most:
                wrong.append(said)
    return wrong, 1


def one(seed):
    """What compare says of a graph, its kinds, and its errors by what they are of."""
    errors = collections.defaultdict(list)
    wrong, compared = compare(seed, errors, SHOW)
    nodes = Graph(seed).nodes
    text = ' '.join('%d:%s(%d,%d)%s' % (k, n.kind, n.a, n.b, list(n.shape))
                    for k, n in enumerate(nodes))
    if SHOW or wrong:
        print('\n'.join(wrong[:4] + ['  ' + text]), flush=True)
    return bool(wrong), compared, {n.kind for n in nodes}, errors


SHOW = '--show' in sys.argv


def main():
    numbers = [int(a) for a in sys.argv[1:] if a != '--show']
    count, first = (numbers + [200, 0][len(numbers):])[:2]
    worst, kinds = collections.defaultdict(list), collections.Counter()
    passed = failed = left_out = 0
    with multiprocessing.Pool() as pool:
        for wrong, compared, has, errors in pool.imap(one, range(first, first + count), 8):
            failed += wrong
            passed += bool(compared) and not wrong
            left_out += not compared and not wrong
            if compared and not wrong:
                kinds.update(has)
            for what, e in errors.items():
                worst[what] += e
    print('graphs with each kind: ' + ', '.join('%s %d' % k for k in sorted(kinds.items())))
    for what, errors in sorted(worst.items()):
        e = sorted(errors)
        print('%-9s %8d comparisons, error: median %.1g, 99 %% %.1g, greatest %.1g' %
              (what, len(e), e[len(e) // 2], e[len(e) * 99 // 100], e[-1]))
    if left_out:
        print('%d graphs left out: at a kink, or PyTorch in float32 is itself in doubt' % left_out)
    print('live: %d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
