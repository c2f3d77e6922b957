#!/usr/bin/python3
"""Remakes tests/goldens/torch.bin and inspect.bin, what PyTorch (and for statistics NumPy) computes
for the cases of tests/test_torch.c and tests/test_inspect.c.

    /usr/bin/python3 tests/goldens.py            writes the files (Debian's python3-torch)
    /usr/bin/python3 tests/goldens.py --float32  writes nothing; shows how far PyTorch's own
                                                 float32 is from its float64, record by record

Everything is computed in float64, so a comparison shows the error of nn.c alone. Weights and inputs
are not stored: both sides draw them from an integer hash of their name and place. A file is a row
of little-endian 32-bit words: a magic number, then one record after another:

    key     FNV-1a hash of "case/what"
    count   elements of the array
    stride  1: all are stored; else elements 0, stride, 2 stride, .. are
    values  float32
    if stride > 1, two more float32: the sum of a[i] u(i), u drawn from the key, and the 2-norm of
    a. One wrong element of a large array shows in the first as clearly as it would by itself.
"""
import os
import struct
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn import (AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d,
                      ConvTranspose2d, ELU, Embedding, Flatten, GELU, GroupNorm, GRU, Hardsigmoid,
                      Hardswish, Hardtanh, InstanceNorm2d, LayerNorm, LeakyReLU, Linear, LSTM,
                      MaxPool2d, ModuleDict, PReLU, ReLU, RNN, Sigmoid, SiLU, Softmax, Softplus,
                      Tanh)

FLOAT32 = '--float32' in sys.argv
MAGIC = 0x316c676e  # "ngl1"
WHOLE = 160         # arrays up to this size are stored whole
SAMPLES = 48        # of larger ones, about this many elements

DTYPE = torch.float64
records = {}


# --- The hash that both sides share -------------------------------------------------------------

def fnv1a(name):
    h = 0x811c9dc5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xffffffff
    return h


def bits(key, count):
    """count 32-bit numbers; the mixer is Wellons' lowbias32."""
    x = (np.uint32(key) + np.arange(count, dtype=np.uint32) * np.uint32(0x9e3779b9))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7feb352d)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846ca68b)
    x ^= x >> np.uint32(16)
    return x


def unit(key, count):
    """Multiples of 2^-23 in [-1, 1): exact in float32, and so after scaling by a power of two."""
    return ((bits(key, count) >> np.uint32(8)).astype(np.float64) - 2.0 ** 23) / 2.0 ** 23


def uniform(name, shape, scale=1.0):
    a = unit(fnv1a(name), int(np.prod(shape))) * scale
    return torch.tensor(a.reshape(shape), dtype=DTYPE)


def integers(name, shape, below):
    a = bits(fnv1a(name), int(np.prod(shape))) % np.uint32(below)
    return torch.tensor(a.astype(np.int64).reshape(shape))


# --- Records ------------------------------------------------------------------------------------

def put(name, value):
    a = value.detach().double().numpy().ravel() if torch.is_tensor(value) else \
        np.asarray(value, dtype=np.float64).ravel()
    assert np.isfinite(a).all(), name
    key = fnv1a(name)
    assert key not in records, name
    stride = 1 if a.size <= WHOLE else (a.size // SAMPLES) | 1
    values = list(a[::stride])
    if stride > 1:
        values += [float((a * unit(key, a.size)).sum()), float(np.sqrt((a * a).sum()))]
    records[key] = (name, a.size, stride, values, a if FLOAT32 else None)


def write(path):
    out = struct.pack('<I', MAGIC)
    for key, (_, count, stride, values, _) in records.items():
        out += struct.pack('<III', key, count, stride)
        out += np.asarray(values, dtype='<f4').tobytes()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.tmp', 'wb') as f:
        f.write(out)
    os.replace(path + '.tmp', path)
    print('%s: %d records, %d bytes' % (path, len(records), len(out)))


# --- Running one case ---------------------------------------------------------------------------

def image(*shape, scale=1.0, below=0):
    return shape, scale, below


sequence = vector = image


def tokens(steps, below):
    return (steps,), 1.0, below


def draw(name, spec, n):
    """below > 0: whole numbers 0 .. below-1, else uniform in [-scale, scale)."""
    shape, scale, below = spec
    if below:
        return integers(name, (n,) + shape, below).to(DTYPE)
    return uniform(name, (n,) + shape, scale)


def set_parameters(case, modules):
    """Weights (rank 2 and more): the greatest power of two up to 1/sqrt(fan_in); the rest 1/2."""
    with torch.no_grad():
        for name, p in modules.named_parameters():
            scale = 0.5
            if p.dim() > 1:
                scale = 1.0
                while scale * scale * (p.numel() // p.shape[0]) > 1:
                    scale /= 2
            p.copy_(uniform(case + '/' + name, p.shape, scale))
        for name, b in modules.named_buffers():
            if name.endswith('running_mean') or name.endswith('running_var'):
                b.copy_(uniform(case + '/' + name, b.shape, 0.5) + name.endswith('running_var'))


def chain(modules, x):
    for module in modules.values():
        x = module(x)
    return x


def run(case, inputs, modules=None, function=None, n=3):
    """One layer or small net: output, and gradients of inputs and parameters from a drawn d/d y."""
    modules = ModuleDict(modules or {}).to(DTYPE)
    function = function or (lambda L, x: chain(L, x))
    set_parameters(case, modules)
    xs = [draw('%s/x%d' % (case, i), spec, n) for i, spec in enumerate(inputs)]
    modules.eval()
    with torch.no_grad():
        evaluated = function(modules, *xs)
    modules.train()
    for x in xs:
        x.requires_grad_(True)
    y = function(modules, *xs)
    y.backward(uniform(case + '/dy', y.shape))
    put(case + '/y', y)
    if not torch.equal(evaluated, y):
        put(case + '/eval', evaluated)
    for i, (x, spec) in enumerate(zip(xs, inputs)):
        if x.grad is not None:  # tokens have none
            put('%s/dx%d' % (case, i), x.grad)
    for name, p in modules.named_parameters():
        put('%s/d %s' % (case, name), p.grad)
    for name, b in modules.named_buffers():
        if name.endswith('running_mean') or name.endswith('running_var'):
            put('%s/after %s' % (case, name), b)


def train(case, spec, modules, optimizer, steps, n, batches=1, classes=10, function=None,
          before_step=None, schedule=None, average=None):
    """The cross-entropy before each of some steps over fixed batches; the parameters' average."""
    modules = ModuleDict(modules).to(DTYPE)
    function = function or (lambda L, x: chain(L, x))
    set_parameters(case, modules)
    xs = [draw('%s/x%d' % (case, i), spec, n) for i in range(batches)]
    labels = [integers('%s/labels%d' % (case, i), (n,), classes) for i in range(batches)]
    o = optimizer(list(modules.parameters()))
    s = schedule(o) if schedule else None
    averaged = torch.optim.swa_utils.AveragedModel(
        modules, avg_fn=lambda a, p, n: average * a + (1 - average) * p) if average else None
    losses = []
    for step in range(steps):
        o.zero_grad()
        loss = F.cross_entropy(function(modules, xs[step % batches]), labels[step % batches])
        loss.backward()
        if before_step:
            before_step(list(modules.parameters()))
        losses.append(loss.item())
        o.step()
        if averaged:
            averaged.update_parameters(modules)
        if s:
            s.step()
    put(case + '/losses', losses)
    for name, p in averaged.module.named_parameters() if averaged else ():
        put(case + '/average ' + name, p)


# --- The cases, in the order of test_torch.c ----------------------------------------------------

def convolutions():
    def conv(case, spec, out, kernel, stride=1, pad=0, **more):
        run(case, [spec], {'layer': Conv2d(spec[0][0], out, kernel, stride, pad, **more)})
    conv('conv', image(3, 7, 8), 4, 3, 1, 1)
    conv('conv_valid', image(2, 6, 9), 5, 3)
    conv('conv_stride', image(3, 9, 10), 5, 3, 2, 1)
    conv('conv_1x1', image(8, 6, 5), 7, 1)
    conv('conv_1x1_stride', image(8, 6, 5), 7, 1, 2)
    conv('conv_wide_padding', image(2, 4, 5), 3, 3, 1, 4)
    conv('conv_whole', image(4, 5, 6), 9, (5, 6))
    conv('conv_gray', image(1, 28, 28), 8, 5, 1, 2)
    conv('conv_rgb', image(3, 17, 15), 9, 5, 1, 2)
    conv('conv_3x3', image(16, 14, 14), 24, 3, 1, 1)
    conv('conv_5x5', image(8, 14, 14), 16, 5, 1, 2)
    conv('conv_dilated', image(3, 9, 9), 4, 3, 1, 2, dilation=2)
    conv('conv_groups', image(4, 8, 7), 6, 3, 1, 1, groups=2)
    conv('conv_depthwise', image(6, 9, 7), 6, 3, 1, 1, groups=6)
    conv('conv_multiplier', image(4, 8, 8), 8, 3, 2, 1, groups=4)
    conv('conv_rectangular', image(4, 9, 12), 6, (2, 5), (2, 1), (1, 2), dilation=(1, 2), groups=2)
    conv('conv_no_bias', image(3, 6, 6), 4, 3, 1, 1, bias=False)


def over_steps(layer):
    return lambda L, x: L[layer](x.transpose(1, 2)).transpose(1, 2)


def convolutions_of_steps():
    def conv(case, steps, features, out, kernel, stride=1, pad=0, **more):
        run(case, [sequence(steps, features)],
            {'layer': Conv1d(features, out, kernel, stride, pad, **more)}, over_steps('layer'))
    conv('conv1d', 9, 5, 7, 3, 1, 1)
    conv('conv1d_stride', 10, 4, 9, 4, 2, bias=False)
    conv('conv1d_dilated', 12, 6, 8, 3, 1, 2, dilation=2, groups=2)
    conv('conv1d_depthwise', 8, 6, 6, 3, 1, 1, groups=6)
    conv('conv1d_multiplier', 8, 4, 8, 2, 2, 1, groups=4)
    run('conv1d_net', [sequence(12, 5)],
        {'one': Conv1d(5, 8, 3, 1, 1), 'norm': BatchNorm1d(8), 'two': Conv1d(8, 6, 3)},
        lambda L, x: F.relu(L['two'](F.max_pool1d(
            L['norm'](F.relu(L['one'](x.transpose(1, 2)))), 2))).mean(2))


def convolutions_transposed():
    def conv(case, spec, out, kernel, stride=1, pad=0, more=0, groups=1, **rest):
        run(case, [spec],
            {'layer': ConvTranspose2d(spec[0][0], out, kernel, stride, pad, more, groups, **rest)})
    conv('transpose', image(3, 5, 6), 4, 3, 2, 1, 1)
    conv('transpose_2x2', image(4, 5, 3), 6, 2, 2)
    conv('transpose_gaps', image(3, 4, 5), 2, (1, 2), (2, 3), 0, (1, 2), bias=False)
    conv('transpose_groups', image(4, 5, 4), 6, (3, 2), (1, 2), (1, 0), (1, 0), 2, dilation=(2, 1))
    conv('transpose_depthwise', image(6, 4, 5), 6, 4, 2, 1, 0, 6)
    conv('transpose_dense', image(17, 9, 12), 20, 3, 1, 1)
    run('transpose_relu', [image(3, 4, 4)],
        {'layer': ConvTranspose2d(3, 5, 4, 2, 1, bias=False), 'norm': BatchNorm2d(5),
         'relu': ReLU()})
    run('transpose_relu_alone', [image(6, 3, 4)],
        {'layer': ConvTranspose2d(6, 9, 3, 1, 1), 'relu': ReLU()})


def linears():
    run('linear', [vector(7)], {'layer': Linear(7, 5)})
    run('linear_sequence', [sequence(4, 6)], {'layer': Linear(6, 3)})
    run('linear_no_bias', [vector(9)], {'layer': Linear(9, 4, bias=False)})
    run('linear_large', [vector(300)], {'layer': Linear(300, 130)}, n=5)


def pools():
    run('max_pool', [image(2, 8, 9)], {'layer': MaxPool2d(2, 2)})
    run('max_pool_overlap', [image(3, 9, 8)], {'layer': MaxPool2d(3, 2, 1)})
    run('max_pool_dense', [image(2, 6, 7)], {'layer': MaxPool2d(3, 1, 1)})
    run('max_pool_ties', [image(2, 8, 8, below=3)], {'layer': MaxPool2d(3, 2, 1)})
    run('avg_pool', [image(2, 8, 9)], {'layer': AvgPool2d(2, 2)})
    run('avg_pool_overlap', [image(3, 9, 8)], {'layer': AvgPool2d(3, 2, 1)})
    run('avg_pool_dense', [image(2, 6, 7)], {'layer': AvgPool2d(3, 1)})
    run('max_pool_rectangle', [image(3, 9, 8)], {'layer': MaxPool2d((2, 3), (1, 2), (0, 1))})
    run('max_pool_ceil', [image(3, 8, 9)], {'layer': MaxPool2d((3, 2), (2, 3), ceil_mode=True)})
    run('avg_pool_rectangle', [image(3, 9, 8)], {'layer': AvgPool2d((2, 3), (1, 2), (0, 1))})
    run('avg_pool_ceil', [image(3, 8, 9)], {'layer': AvgPool2d(3, 2, 1, True)})
    run('avg_pool_exclude', [image(3, 8, 9)],
        {'layer': AvgPool2d(3, 2, 1, count_include_pad=False)})
    run('avg_pool_ceil_exclude', [image(3, 8, 10)],
        {'layer': AvgPool2d((3, 2), (2, 3), (1, 1), True, False)})
    run('adaptive', [image(3, 7, 10)], {'layer': AdaptiveAvgPool2d((3, 4))})
    run('adaptive_up', [image(2, 3, 4)], {'layer': AdaptiveAvgPool2d((5, 1))})
    run('adaptive_steps', [sequence(10, 4)], function=lambda L, x: F.adaptive_avg_pool1d(
        x.transpose(1, 2), 3).transpose(1, 2))
    run('global_max_pool_steps', [sequence(5, 4)], function=lambda L, x: x.max(1)[0])
    run('global_avg_pool_steps', [sequence(5, 4)], function=lambda L, x: x.mean(1))
    def steps(f):
        return lambda L, x: f(x.transpose(1, 2)).transpose(1, 2)
    run('max_pool_of_steps', [sequence(9, 5)],
        function=steps(lambda x: F.max_pool1d(x, 3, 2, 1)))
    run('max_pool_pairs', [sequence(8, 5)], function=steps(lambda x: F.max_pool1d(x, 2, 2)))
    run('avg_pool_of_steps', [sequence(9, 5)],
        function=steps(lambda x: F.avg_pool1d(x, 3, 2, 1)))
    run('avg_pool_of_steps_ceil', [sequence(9, 5)],
        function=steps(lambda x: F.avg_pool1d(x, 4, 3, 1, True, False)))
    run('global_max_pool', [image(5, 4, 6)],
        function=lambda L, x: F.max_pool2d(x, (4, 6)).flatten(1))
    run('global_avg_pool', [image(5, 4, 6)], function=lambda L, x: x.mean((2, 3)))


ACTIVATIONS = [('relu', ReLU), ('leaky_relu', lambda: LeakyReLU(0.1)), ('gelu', GELU),
               ('silu', SiLU), ('tanh', Tanh), ('sigmoid', Sigmoid), ('elu', lambda: ELU(1.5)),
               ('softplus', lambda: Softplus(threshold=1000)), ('hard_sigmoid', Hardsigmoid),
               ('hard_swish', Hardswish), ('clamp', lambda: Hardtanh(-0.75, 6))]


def activations():
    for name, make in ACTIVATIONS:
        run(name, [vector(37, scale=8.0)], {'layer': make()})
        run(name + '_sequence', [sequence(3, 7, scale=2.0)], {'layer': make()})
        run(name + '_image', [image(5, 3, 3, scale=2.0)], {'layer': make()})
        run(name + '_at_zero', [vector(9, below=2)], {'layer': make()})
        run('linear_' + name, [vector(7)], {'layer': Linear(7, 18), 'act': make()})
        run('conv_' + name, [image(3, 6, 5)], {'layer': Conv2d(3, 9, 3, 1, 1), 'act': make()})
    run('softmax', [vector(11, scale=4.0)], {'layer': Softmax(1)})
    run('softmax_sequence', [sequence(4, 5, scale=4.0)], {'layer': Softmax(2)})
    run('softmax_image', [image(6, 3, 4, scale=4.0)], {'layer': Softmax(1)})


def moves():
    run('reverse', [sequence(5, 3)], function=lambda L, x: x.flip(1))
    run('pad2d', [image(3, 4, 5)], function=lambda L, x: F.pad(x, (3, 0, 1, 2)))
    run('pad1d', [sequence(4, 5)], function=lambda L, x: F.pad(x, (0, 0, 2, 1)))
    run('upsample1d', [sequence(4, 5)], function=lambda L, x: F.interpolate(
        x.transpose(1, 2), scale_factor=3, mode='nearest').transpose(1, 2))
    run('slice_image', [image(5, 6, 7)], function=lambda L, x: x[:, 1:4, 1:5, 2:4])
    run('slice_sequence', [sequence(6, 5)], function=lambda L, x: x[:, 1:5, 2:4])
    run('slice_vector', [vector(9)], function=lambda L, x: x[:, 2:6])
    run('concat_height', [image(3, 4, 5), image(3, 2, 5)],
        function=lambda L, a, b: torch.cat((a, b), 2))
    run('concat_width', [image(3, 4, 2), image(3, 4, 5)],
        function=lambda L, a, b: torch.cat((a, b), 3))
    run('concat_steps', [sequence(4, 3), sequence(2, 3)],
        function=lambda L, a, b: torch.cat((a, b), 1))
    run('columns', [image(3, 4, 5)], function=lambda L, x: x.permute(0, 3, 1, 2).flatten(2))
    run('rows', [image(3, 4, 5)], function=lambda L, x: x.permute(0, 2, 1, 3).flatten(2))
    run('from_columns', [sequence(5, 12)],
        function=lambda L, x: x.reshape(-1, 5, 3, 4).permute(0, 2, 3, 1))
    run('from_rows', [sequence(4, 15)],
        function=lambda L, x: x.reshape(-1, 4, 3, 5).permute(0, 2, 1, 3))
    run('reshape_image', [image(6, 4, 5)], function=lambda L, x: x.reshape(-1, 4, 10, 3))
    run('reshape_steps', [sequence(6, 5)], function=lambda L, x: x.reshape(-1, 3, 10))
    run('reshape_vector', [vector(24)], function=lambda L, x: x.reshape(-1, 2, 4, 3))
    run('reshape_to_vector', [image(3, 4, 2)], function=lambda L, x: x.reshape(-1, 24))
    run('text_reader', [image(1, 12, 14)],
        {'conv': Conv2d(1, 4, 3, 1, 1), 'cell': GRU(24, 5, batch_first=True, bidirectional=True),
         'fc': Linear(10, 6)},
        lambda L, x: L['fc'](L['cell'](F.max_pool2d(F.relu(L['conv'](x)), 2).permute(0, 3, 1, 2)
                                       .flatten(2))[0]))
    run('upsample2d', [image(3, 4, 5)],
        function=lambda L, x: F.interpolate(x, scale_factor=(2, 3), mode='nearest'))
    for case, spec, factor in (('bilinear', image(3, 4, 5), (2, 3)),
                               ('bilinear_of_one', image(9, 1, 4), (3, 4))):
        run(case, [spec], function=lambda L, x: F.interpolate(
            x, scale_factor=factor, mode='bilinear', align_corners=False))
    run('conv_same', [image(3, 8, 9)], {'layer': Conv2d(3, 5, 3, 2)},
        lambda L, x: L['layer'](F.pad(x, (1, 1, 0, 1))))
    run('multiply', [vector(5)], {'one': Linear(5, 4), 'two': Linear(5, 4)},
        lambda L, x: L['one'](x) * L['two'](x))
    run('multiply_image', [image(3, 5, 4)],
        {'one': Conv2d(3, 6, 3, 1, 1), 'two': Conv2d(3, 6, 3, 1, 1)},
        lambda L, x: L['one'](x) * L['two'](x))
    run('excitation', [image(4, 5, 3)], {'one': Linear(4, 2), 'two': Linear(2, 4)},
        lambda L, x: x * torch.sigmoid(L['two'](L['one'](x.mean((2, 3)))))[:, :, None, None])
    run('excited_sequence', [sequence(5, 4)], {'one': Linear(4, 4)},
        lambda L, x: x * L['one'](x[:, -1])[:, None])


def norms():
    run('batch_norm', [vector(5)], {'layer': BatchNorm1d(5)}, n=7)
    run('batch_norm_sequence', [sequence(4, 3)], {'layer': BatchNorm1d(3)},
        lambda L, x: L['layer'](x.transpose(1, 2)).transpose(1, 2))
    run('batch_norm_image', [image(5, 4, 3)], {'layer': BatchNorm2d(5)})
    run('layer_norm', [vector(9)], {'layer': LayerNorm(9)})
    run('layer_norm_sequence', [sequence(4, 9)], {'layer': LayerNorm(9)})
    run('layer_norm_image', [image(3, 4, 5)], {'layer': LayerNorm([3, 4, 5])})


def norms_with_options():
    run('batch_norm_with', [image(5, 4, 3)], {'layer': BatchNorm2d(5, 0.5, 0.25)})
    run('batch_norm_bare', [sequence(4, 3)],
        {'fc': Linear(3, 5, bias=False), 'layer': BatchNorm1d(5, affine=False)},
        lambda L, x: L['layer'](L['fc'](x).transpose(1, 2)).transpose(1, 2))
    run('batch_norm_frozen', [image(5, 4, 3)], {'layer': BatchNorm2d(5, 1e-3, 0.25)},
        lambda L, x: L['layer'].eval()(x))
    run('conv_norm_bare', [image(3, 5, 4)],
        {'conv': Conv2d(3, 6, 3, 1, 1), 'layer': BatchNorm2d(6, 1e-3, 0.25)},
        lambda L, x: F.relu(L['layer'].eval()(L['conv'](x))))
    run('layer_norm_with', [sequence(4, 9)], {'layer': LayerNorm(9, 0.125)})
    run('group_norm', [image(6, 5, 4)], {'layer': GroupNorm(2, 6)})
    run('group_norm_with', [sequence(5, 6)], {'layer': GroupNorm(3, 6, 0.01)}, over_steps('layer'))
    run('group_norm_vector', [vector(8)], {'layer': GroupNorm(2, 8)})
    run('instance_norm', [image(5, 4, 6)], {'layer': InstanceNorm2d(5)})
    run('prelu', [image(5, 4, 3)], {'layer': PReLU()})
    run('prelu_channels', [image(3, 4, 5)], {'conv': Conv2d(3, 7, 3, 1, 1), 'layer': PReLU(7)})
    run('prelu_features', [sequence(4, 6)], {'layer': PReLU(6)}, over_steps('layer'))


def shapes():
    run('flatten_image', [image(3, 4, 5)], {'layer': Flatten()})
    run('flatten_sequence', [sequence(4, 5)], {'layer': Flatten()})
    run('add', [image(3, 4, 5)] * 2, function=lambda L, a, b: a + b)
    run('add_twice', [vector(6)], function=lambda L, a: a + a)
    run('concat_image', [image(3, 4, 5), image(2, 4, 5)],
        function=lambda L, a, b: torch.cat((a, b), 1))
    run('concat_sequence', [sequence(4, 3), sequence(4, 5)],
        function=lambda L, a, b: torch.cat((a, b), 2))
    run('concat_vector', [vector(4), vector(3)], function=lambda L, a, b: torch.cat((a, b), 1))
    run('embedding', [tokens(5, 7)], {'layer': Embedding(7, 4)}, lambda L, x: L['layer'](x.long()))


def nets():
    """Layers that meet each other: layouts at the borders, fusion, branches."""
    run('net_pool', [image(3, 12, 11)],
        {'conv': Conv2d(3, 17, 5, 1, 2), 'relu': ReLU(), 'pool': MaxPool2d(2, 2),
         'flatten': Flatten(), 'fc': Linear(17 * 6 * 5, 6)})
    run('net_norm', [image(3, 8, 8)],
        {'conv': Conv2d(3, 8, 3, 1, 1, bias=False), 'norm': BatchNorm2d(8), 'relu': ReLU(),
         'next': Conv2d(8, 5, 3, 2, 1), 'pool': AvgPool2d(2, 2)})
    run('net_residual', [image(4, 6, 6)],
        {'a': Conv2d(4, 4, 3, 1, 1), 'b': Conv2d(4, 4, 3, 1, 1), 'c': Conv2d(8, 3, 1)},
        lambda L, x: L['c'](torch.cat((F.relu(x + L['b'](F.relu(L['a'](x)))), x), 1)))
    run('net_tokens', [tokens(6, 9)],
        {'embed': Embedding(9, 5), 'cell': GRU(5, 8, batch_first=True), 'fc': Linear(8, 3)},
        lambda L, x: L['fc'](L['cell'](L['embed'](x.long()))[0][:, -1]))
    run('net_mixed', [sequence(5, 6)],
        {'cell': LSTM(6, 7, batch_first=True), 'norm': LayerNorm(7), 'fc': Linear(7, 4)},
        lambda L, x: F.silu(L['fc'](L['norm'](L['cell'](x)[0]))).flatten(1))


CELLS = [('rnn', RNN, {}), ('rnn_relu', RNN, {'nonlinearity': 'relu'}), ('lstm', LSTM, {}),
         ('gru', GRU, {})]
LENGTHS = [6, 1, 4]
CELL_IN, CELL_HIDDEN, CELL_STEPS = 5, 7, 6


def cells():
    def last(y):
        return y[:, -1]

    def packed(cell, x):
        p = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True,
                                                    enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(cell(p)[0], batch_first=True)[0]

    def packed_last(cell, x):
        return torch.stack([packed(cell, x)[i, k - 1] for i, k in enumerate(LENGTHS)])

    def packed_state(L, x):
        p = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True,
                                                    enforce_sorted=False)
        state = L['layer'](p)[1]
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat((h[-2], h[-1]), 1)

    def from_state(L, x, s):
        """The state [N, S] in, the final one and all steps out, as nn_gru_from has them."""
        p = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True,
                                                    enforce_sorted=False)
        parts = s.reshape(len(x), -1, 4, CELL_HIDDEN).permute(1, 2, 0, 3).contiguous()
        y, state = L['layer'](p, tuple(parts) if len(parts) > 1 else parts[0])
        y = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0]
        state = torch.stack(state if isinstance(state, tuple) else (state,))
        return torch.cat((state.permute(2, 0, 1, 3).flatten(1), y.flatten(1)), 1)

    ways = [('', lambda L, x: L['layer'](x)[0]), ('_last', lambda L, x: last(L['layer'](x)[0])),
            ('_lengths', lambda L, x: packed(L['layer'], x)),
            ('_lengths_last', lambda L, x: packed_last(L['layer'], x))]
    for name, make, options in CELLS:
        for layers in (1, 2):
            for way, function in ways:
                cell = make(CELL_IN, CELL_HIDDEN, layers, batch_first=True, **options)
                run('%s_%d%s' % (name, layers, way), [sequence(CELL_STEPS, CELL_IN)],
                    {'layer': cell}, function)
        for layers in (1, 2):
            for way, function in (ways[0], ways[2]):
                cell = make(CELL_IN, CELL_HIDDEN, layers, batch_first=True, bidirectional=True,
                            **options)
                run('%s_%d_both%s' % (name, layers, way), [sequence(CELL_STEPS, CELL_IN)],
                    {'layer': cell}, function)
        run(name + '_h_n', [sequence(CELL_STEPS, CELL_IN)],
            {'layer': make(CELL_IN, CELL_HIDDEN, 2, batch_first=True, bidirectional=True,
                           **options)}, packed_state)
        run(name + '_state', [sequence(CELL_STEPS, CELL_IN),
                              vector(4 * CELL_HIDDEN * (1 + (make is LSTM)))],
            {'layer': make(CELL_IN, CELL_HIDDEN, 2, batch_first=True, bidirectional=True,
                           **options)}, from_state)
        run(name + '_wide', [sequence(4, 28)],
            {'layer': make(28, 40, 1, batch_first=True, **options)}, ways[1][1], n=9)

    def carried(L, x):
        with torch.no_grad():
            state = L['layer'](uniform(carried.case + '/before0', x.shape))[1]
        return L['layer'](x, state)[0]

    for name, make, options in CELLS:
        carried.case = name + '_carry'
        run(carried.case, [sequence(CELL_STEPS, CELL_IN)],
            {'layer': make(CELL_IN, CELL_HIDDEN, 2, batch_first=True, **options)}, carried)


def losses():
    def loss(case, shape, function, n=6, scale=4.0):
        x = uniform(case + '/x0', (n,) + shape, scale).requires_grad_(True)
        value = function(x)
        value.backward()
        put(case + '/loss', [value.item()])
        put(case + '/dx0', x.grad)

    def labels(case, shape, classes, ignored):
        a = integers(case + '/labels', shape, classes)
        if ignored:
            a[integers(case + '/ignored', shape, 3) == 0] = -1
        return a

    def cross_entropy(case, shape, smoothing=0.0, weighted=False, ignored=False, **more):
        n, classes = 6, shape[-1]
        y = labels(case, (n,) + shape[:-1], classes, ignored)
        w = 1.25 + uniform(case + '/weights', (classes,)) if weighted else None
        loss(case, shape, lambda x: F.cross_entropy(
            x.reshape(-1, classes), y.reshape(-1), weight=w, ignore_index=-1,
            label_smoothing=smoothing), **more)
        x = uniform(case + '/x0', (n,) + shape)
        put(case + '/correct', [(x.argmax(-1) == y).sum().item()])

    cross_entropy('ce', (10,))
    cross_entropy('ce_far', (10,), scale=64.0)
    cross_entropy('ce_smooth', (7,), smoothing=0.125)
    cross_entropy('ce_weights', (7,), weighted=True)
    cross_entropy('ce_ignored', (7,), ignored=True)
    cross_entropy('ce_smooth_ignored', (7,), smoothing=0.125, ignored=True)
    cross_entropy('ce_weights_ignored', (7,), weighted=True, ignored=True)
    cross_entropy('ce_sequence', (4, 5), smoothing=0.25, ignored=True)
    cross_entropy('ce_smooth_weights', (7,), smoothing=0.125, weighted=True)
    for case, shape in (('mse', (5,)), ('mse_image', (2, 3, 4))):
        loss(case, shape, lambda x: F.mse_loss(x, uniform(case + '/values', x.shape)))
    for case, shape, scale in (('bce', (5,), 4.0), ('bce_far', (5,), 128.0),
                               ('bce_image', (2, 3, 4), 4.0)):
        loss(case, shape, lambda x: F.binary_cross_entropy_with_logits(
            x, uniform(case + '/values', x.shape, 0.5) + 0.5), scale=scale)

    # What nn_loss_options has: options is what F takes, and `weighted` weighs the samples.
    def with_options(case, shape, function, weighted=False, probabilities=False, classes=0,
                     ignored=-1, weights=0, **options):
        def value(x):
            if classes:
                y = labels(case, (6,) + shape[1:], classes, False)
                y[integers(case + '/ignored', y.shape, 3) == 0] = ignored
                options.update(ignore_index=ignored)
                total = (y != ignored).to(DTYPE)
            else:
                y = uniform(case + '/values', x.shape) * (0.5 if probabilities else 1)
                y = y + 0.5 if probabilities else y
                total = torch.ones_like(y)
            if weights:
                w = 1.25 + uniform(case + '/weights', (weights,))
                options['weight' if classes else 'pos_weight'] = w if classes else \
                    w.reshape((weights,) + (1,) * (len(shape) - 1))
                total = total * w[y.clamp(0, weights - 1)] if classes else total
            if not weighted:
                return function(x, y, **options)
            u = 1.25 + uniform(case + '/samples', (6,) + (1,) * (y.dim() - 1))
            each = function(x, y, **dict(options, reduction='none')) * u
            return each.sum() / ((total * u).sum() if options.get('reduction') != 'sum' else 1)
        loss(case, shape, value)

    ce, bce = F.cross_entropy, F.binary_cross_entropy_with_logits
    with_options('ce_image', (5, 3, 4), ce, classes=5)
    with_options('ce_image_ignored', (5, 3, 4), ce, classes=5, ignored=255, weights=5,
                 label_smoothing=0.125)
    with_options('ce_image_samples', (5, 3, 4), ce, True, classes=5, ignored=2, weights=5)
    with_options('ce_samples', (7,), ce, True, classes=7, ignored=-100)
    with_options('ce_sum', (7,), ce, classes=7, reduction='sum')
    with_options('ce_sum_samples', (7,), ce, True, classes=7, reduction='sum')
    with_options('mse_samples', (2, 3, 4), F.mse_loss, True)
    with_options('mse_sum', (5,), F.mse_loss, reduction='sum')
    with_options('bce_positive', (5,), bce, probabilities=True, weights=5)
    with_options('bce_positive_image', (2, 3, 4), bce, True, probabilities=True, weights=2)
    with_options('huber', (5,), F.huber_loss, delta=1.0)
    with_options('huber_image', (2, 3, 4), F.huber_loss, True, delta=0.75)
    with_options('l1', (5,), F.l1_loss)
    with_options('l1_sum', (2, 3, 4), F.l1_loss, True, reduction='sum')


def heads(L, x):
    y = L['trunk'](x).tanh()
    return L['main'](y), L['aux'](y), L['deep'](L['aux'](y).tanh())


def several_losses():
    """Three heads, one on another's input; labels shared, of their own, and targets."""
    L = ModuleDict({'trunk': Linear(6, 8), 'main': Linear(8, 4), 'aux': Linear(8, 4),
                    'deep': Linear(4, 3)}).to(DTYPE)
    set_parameters('heads', L)
    x = uniform('heads/x0', (5, 6)).requires_grad_(True)
    y = integers('heads/labels', (5, 2), 4)
    main, aux, deep = heads(L, x)
    value = F.cross_entropy(main, y[:, 0]) + 0.3 * F.cross_entropy(aux, y[:, 0]) + \
        0.5 * F.cross_entropy(aux, y[:, 1], reduction='sum') + \
        2 * F.huber_loss(deep, uniform('heads/values', (5, 3)))
    value.backward()
    put('heads/loss', [value.item()])
    put('heads/dx0', x.grad)
    for name, p in L.named_parameters():
        put('heads/d ' + name, p.grad)


def optimizers():
    O = torch.optim
    clip_norm = lambda p: torch.nn.utils.clip_grad_norm_(p, 0.125)
    clip_value = lambda p: torch.nn.utils.clip_grad_value_(p, 0.015625)
    one_cycle = lambda o: O.lr_scheduler.OneCycleLR(o, 0.5, total_steps=101, cycle_momentum=False)
    whole_cycle = lambda o: O.lr_scheduler.OneCycleLR(o, 0.125, total_steps=101)
    triangles = lambda o: O.lr_scheduler.CyclicLR(o, 0.01, 0.25, 15, mode='triangular2')
    for case, make, more in [
            ('sgd', lambda p: O.SGD(p, 0.1), {}),
            ('sgd_decay', lambda p: O.SGD(p, 0.1, weight_decay=0.01), {}),
            ('sgd_momentum', lambda p: O.SGD(p, 0.1, 0.9), {}),
            ('sgd_momentum_decay', lambda p: O.SGD(p, 0.1, 0.9, weight_decay=0.01), {}),
            ('sgd_nesterov', lambda p: O.SGD(p, 0.1, 0.9, nesterov=True), {}),
            ('sgd_nesterov_decay', lambda p: O.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True),
             {}),
            ('adagrad', lambda p: O.Adagrad(p, 0.05), {}),
            ('adagrad_decay', lambda p: O.Adagrad(p, 0.05, weight_decay=0.01), {}),
            ('rmsprop', lambda p: O.RMSprop(p, 0.005), {}),
            ('rmsprop_decay', lambda p: O.RMSprop(p, 0.005, weight_decay=0.01), {}),
            ('rmsprop_momentum', lambda p: O.RMSprop(p, 0.001, momentum=0.9), {}),
            ('rmsprop_momentum_decay',
             lambda p: O.RMSprop(p, 0.001, momentum=0.9, weight_decay=0.01), {}),
            ('adam', lambda p: O.Adam(p, 0.01), {}),
            ('adam_decay', lambda p: O.Adam(p, 0.01, weight_decay=0.01), {}),
            ('adamw', lambda p: O.AdamW(p, 0.01), {}),
            ('adamw_decay', lambda p: O.AdamW(p, 0.01, weight_decay=0.5), {}),
            ('adagrad_eps', lambda p: O.Adagrad(p, 0.1, eps=0.125), {}),
            ('rmsprop_eps', lambda p: O.RMSprop(p, 0.02, alpha=0.75, eps=0.125), {}),
            ('adam_eps', lambda p: O.Adam(p, 0.05, betas=(0.75, 0.875), eps=0.125), {}),
            ('adamw_eps', lambda p: O.AdamW(p, 0.05, betas=(0.75, 0.875), eps=0.125), {}),
            ('sgd_clip_norm', lambda p: O.SGD(p, 0.1, 0.9), {'before_step': clip_norm}),
            ('sgd_clip_value', lambda p: O.SGD(p, 0.1, 0.9), {'before_step': clip_value}),
            ('adam_clip_norm', lambda p: O.Adam(p, 0.01), {'before_step': clip_norm}),
            ('sgd_one_cycle', lambda p: O.SGD(p, 0.5), {'schedule': one_cycle}),
            ('sgd_whole_cycle', lambda p: O.SGD(p, 0.125, 0.5), {'schedule': whole_cycle}),
            ('adam_whole_cycle', lambda p: O.Adam(p, 0.125), {'schedule': whole_cycle}),
            ('sgd_triangles', lambda p: O.SGD(p, 0.25, 0.5, nesterov=True),
             {'schedule': triangles}),
            ('amsgrad', lambda p: O.Adam(p, 0.05, (0.75, 0.875), amsgrad=True), {}),
            ('amsgrad_w', lambda p: O.AdamW(p, 0.05, (0.75, 0.875), amsgrad=True), {}),
            ('sgd_average', lambda p: O.SGD(p, 0.1, 0.9), {'average': 0.9375})]:
        train('optimizer_' + case, vector(6, scale=2.0),
              {'fc1': Linear(6, 8), 'tanh': Tanh(), 'fc2': Linear(8, 3)}, make, 100, 12, classes=3,
              **more)


def schedules():
    L = torch.optim.lr_scheduler

    def rates(case, make, steps):
        o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
        s = make(o)
        out = []
        for _ in range(steps):
            out.append(o.param_groups[0]['lr'])
            o.step()
            s.step()
        put('schedule_' + case + '/rates', out)

    def warm(o, then):
        return L.SequentialLR(o, [L.LinearLR(o, 1 / 5, 1.0, 4), then], [5])

    warnings.filterwarnings('ignore', 'The epoch parameter')  # SequentialLR's own doing

    def plateau(case, steps, **options):
        o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
        s = L.ReduceLROnPlateau(o, **options)
        out = []
        for loss in 2 + unit(fnv1a(case + '/losses'), steps) / np.arange(1, steps + 1):
            s.step(loss)
            out.append(o.param_groups[0]['lr'])
        put(case + '/rates', out)

    plateau('schedule_plateau', 60, factor=0.5, patience=2, threshold=0.0625, min_lr=0.001)
    plateau('schedule_plateau_eager', 20, factor=0.9, patience=0, threshold=0)

    rates('step', lambda o: L.StepLR(o, 7, 0.5), 40)
    rates('exponential', lambda o: L.ExponentialLR(o, 0.9), 40)
    rates('exponential_period', lambda o: L.ExponentialLR(o, 0.5 ** (1 / 8)), 40)
    rates('cosine', lambda o: L.CosineAnnealingLR(o, 40, 0.01), 41)
    rates('one_cycle', lambda o: L.OneCycleLR(o, 0.5, total_steps=40), 40)
    rates('one_cycle_odd', lambda o: L.OneCycleLR(o, 0.5, total_steps=37), 37)
    rates('triangular', lambda o: L.CyclicLR(o, 0.125, 0.5, 6, mode='exp_range', gamma=1,
                                             cycle_momentum=False), 40)
    rates('triangular2', lambda o: L.CyclicLR(o, 0.125, 0.5, 5, mode='triangular2',
                                              cycle_momentum=False), 40)
    rates('polynomial', lambda o: L.PolynomialLR(o, 30, 2.0), 40)
    rates('warm_step', lambda o: warm(o, L.StepLR(o, 7, 0.5)), 40)
    rates('warm_cosine', lambda o: warm(o, L.CosineAnnealingLR(o, 35, 0.01)), 40)


def lenet(channels, side):
    return {'conv1': Conv2d(channels, 32, 5, 1, 2), 'relu1': ReLU(), 'pool1': MaxPool2d(2, 2),
            'conv2': Conv2d(32, 64, 5, 1, 2), 'relu2': ReLU(), 'pool2': MaxPool2d(2, 2),
            'flatten': Flatten(), 'fc1': Linear(64 * (side // 4) ** 2, 1024), 'relu3': ReLU(),
            'fc2': Linear(1024, 10)}


def last_step(name):
    return lambda L, x: L['fc'](L[name](x)[0][:, -1])


def whole():
    """Whole networks: logits, gradients, and the first steps of training."""
    run('lenet_gray', [image(1, 28, 28)], lenet(1, 28))
    run('lenet_rgb', [image(3, 32, 32)], lenet(3, 32))
    train('lenet_adam', image(1, 28, 28), lenet(1, 28), lambda p: torch.optim.Adam(p, 1e-3), 12, 8,
          batches=2)
    train('lenet_momentum', image(1, 28, 28), lenet(1, 28),
          lambda p: torch.optim.SGD(p, 0.02, 0.9), 12, 8, batches=2)
    for name, make, options in CELLS:
        train(name + '_adam', sequence(28, 28),
              {'cell': make(28, 64, 2, batch_first=True, **options), 'fc': Linear(64, 10)},
              lambda p: torch.optim.Adam(p, 2e-3), 20, 16, batches=2, function=last_step('cell'))


# --- Seeing inside, the cases of test_inspect.c --------------------------------------------------

class Rectify(torch.autograd.Function):
    """max(x, 0), and going back the rules of the three papers that nn.h names."""
    rule = 'gradient'

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, signal):
        x, = ctx.saved_tensors
        if Rectify.rule != 'deconvnet':
            signal = signal * (x > 0)
        return signal if Rectify.rule == 'gradient' else signal.clamp(min=0)


def project(case, spec, modules, function, stops, rules, n=3):
    """Signals drawn at some layers' outputs, taken back to the input of a net that is evaluated.
    function: modules and input to the outputs of all layers, by name."""
    modules = ModuleDict(modules).to(DTYPE)
    set_parameters(case, modules)
    modules.eval()
    x = draw(case + '/x0', spec, n).requires_grad_(True)
    for stop in stops:
        for Rectify.rule in rules:
            y = function(modules, x)[stop]
            start = uniform('%s/start %s' % (case, stop), y.shape)
            put('%s/%s %s' % (case, Rectify.rule, stop), torch.autograd.grad(y, x, start)[0])
    return modules


def every(L, x):
    """The outputs of a chain of layers."""
    seen = {}
    for name, layer in L.items():
        seen[name] = x = layer(x)
    return seen


class Rectifier(torch.nn.Module):
    def forward(self, x):
        return Rectify.apply(x)


def occlusion(case, spec, modules, node, channel, label, side, stride, fill):
    x = draw(case + '/x0', spec, 1)
    probability, activity, predicted = [], [], []
    for top in range(0, x.shape[2] - side + 1, stride):
        for left in range(0, x.shape[3] - side + 1, stride):
            covered = x.clone()
            covered[:, :, top:top + side, left:left + side] = fill
            with torch.no_grad():
                seen = every(modules, covered)
            y = list(seen.values())[-1][0]
            probability.append(y.softmax(0)[label].item())
            activity.append(seen[node][0, channel].sum().item())
            predicted.append(y.argmax().item())
    put(case + '/probability', probability)
    put(case + '/activity', activity)
    put(case + '/predicted', predicted)


def looks():
    all_rules = ['gradient', 'deconvnet', 'guided']
    lenet = project('look_lenet', image(2, 12, 12), {
        'conv1': Conv2d(2, 6, 5, 1, 2), 'relu1': Rectifier(), 'pool1': MaxPool2d(2, 2),
        'conv2': Conv2d(6, 8, 3, 1, 1), 'relu2': Rectifier(), 'pool2': MaxPool2d(2, 2),
        'flatten': Flatten(), 'fc1': Linear(72, 20), 'relu3': Rectifier(), 'fc2': Linear(20, 5)},
        every, ['relu1', 'conv2', 'relu2', 'pool2', 'fc1', 'fc2'], all_rules)
    occlusion('look_lenet', image(2, 12, 12), lenet, 'relu2', 3, 1, side=3, stride=2, fill=0.75)

    def norms(L, x):
        seen = every({k: L[k] for k in ('conv1', 'norm1', 'relu1', 'pool1')}, x)
        seen['norm2'] = L['norm2'](L['conv2'](seen['pool1']))
        seen['add'] = seen['norm2'] + L['conv3'](seen['pool1'])
        seen['fc'] = L['fc'](L['drop'](Rectify.apply(seen['add']).mean((2, 3))))
        return seen

    project('look_norm', image(3, 9, 8), {
        'conv1': Conv2d(3, 5, 3, 1, 1, bias=False), 'norm1': BatchNorm2d(5), 'relu1': Rectifier(),
        'pool1': MaxPool2d(3, 2, 1), 'conv2': Conv2d(5, 6, 3, 2, 1), 'norm2': BatchNorm2d(6),
        'conv3': Conv2d(5, 6, 1, 2), 'drop': torch.nn.Dropout(0.5), 'fc': Linear(6, 4)},
        norms, ['norm1', 'norm2', 'add', 'fc'], all_rules)

    def steps(L, x):
        cell = L['cell'](x)[0]
        return {'cell': cell, 'fc': L['fc'](cell[:, -1])}

    project('look_gru', sequence(6, 5), {
        'cell': GRU(5, 7, 2, batch_first=True, dropout=0.25), 'fc': Linear(7, 4)},
        steps, ['cell', 'fc'], ['gradient'])


def statistics():
    """Of numbers that float32 holds exactly."""
    def moments(case, x):
        put('moments/counts ' + case, [x.size, (x == 0).sum()])
        put('moments/place ' + case, [x.mean(), x.min(), x.max()])
        put('moments/spread ' + case, [x.var(), x.std()])
    k = bits(fnv1a('moments/values'), 5000).astype(np.int64)
    moments('near', np.where(k % 8 == 0, 0, (k % 4096 - 1000) / 1024))
    moments('far', 2.0 ** 30 + 128.0 * (k % 4))  # a sum of squares would lose the variance
    values = unit(fnv1a('moments/values'), 5000)
    low, high = -0.75, 0.875
    put('moments/histogram', np.histogram(values, 64, (low, high))[0])
    put('moments/outside', [(values < low).sum(), (values > high).sum()])


# --- The files ----------------------------------------------------------------------------------

FILES = {'torch.bin': (convolutions, convolutions_of_steps, convolutions_transposed, linears, pools,
                       activations, moves, norms, norms_with_options, shapes, nets, cells, losses,
                       several_losses, optimizers, schedules, whole),
         'inspect.bin': (looks, statistics)}


def compute(file):
    records.clear()
    torch.manual_seed(0)
    torch.set_default_dtype(DTYPE)
    for part in FILES[file]:
        part()


def main():
    global DTYPE
    rows = []
    for file in FILES:
        DTYPE = torch.float64
        compute(file)
        if not FLOAT32:
            here = os.path.dirname(os.path.abspath(__file__))
            write(os.path.join(here, 'goldens', file))
            continue
        exact = dict(records)
        DTYPE = torch.float32
        compute(file)
        for key, (name, count, _, _, a) in exact.items():
            b = records[key][4]
            scale = np.abs(a) + np.sqrt((a * a).mean()) + 1e-30
            rows.append((float((np.abs(a - b) / scale).max()), name, count))
    for worst, name, count in sorted(rows, reverse=True)[:60]:
        print('%10.2e  %-40s %d' % (worst, name, count))


if __name__ == '__main__':
    main()
