#!/usr/bin/python3
"""The Python side of tests/onnx: what onnx says of files, and files from PyTorch.

    onnx.py check FILE..     the checker and strict shape inference of the onnx package
    onnx.py torch FOLDER     nets by torch.onnx.export, each with samples and answers beside it
    onnx.py made FOLDER      operators one by one, with samples; ONNX Runtime adds the answers
"""
import sys
sys.path.pop(0)  # this file's folder: it is called like the package


def check(files):
    import onnx
    failed = 0
    for path in files:
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        except Exception as error:  # the package has several kinds
            failed += 1
            print('%s: %s' % (path, str(error).strip().split('\n')[0]))
    print('%d passed, %d failed' % (len(files) - failed, failed))


def nets():
    """Name, network, samples; and whether the batch is to be free."""
    import torch
    from torch import nn

    class Lambda(nn.Module):
        def __init__(self, function, **parts):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)
            self.function = function

        def forward(self, x):
            return self.function(self, x)

    def block(fan_in, out, kernel=3, stride=1, groups=1, act=nn.ReLU):
        return nn.Sequential(nn.Conv2d(fan_in, out, kernel, stride, kernel // 2, groups=groups, bias=False),
                             nn.BatchNorm2d(out), act())

    def residual(fan_in, out, stride=1):
        skip = nn.Identity()
        if stride > 1 or fan_in != out:
            skip = nn.Sequential(nn.Conv2d(fan_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        body = nn.Sequential(block(fan_in, out, 3, stride), nn.Conv2d(out, out, 3, 1, 1, bias=False),
                             nn.BatchNorm2d(out))
        return Lambda(lambda self, x: torch.relu(self.body(x) + self.skip(x)), body=body, skip=skip)

    def inverted(fan_in, out, stride, act=nn.ReLU6):
        wide = 4 * fan_in
        body = nn.Sequential(block(fan_in, wide, 1, act=act), block(wide, wide, 3, stride, wide, act),
                             nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        return Lambda(lambda self, x: self.body(x) + x if stride == 1 and fan_in == out else self.body(x),
                      body=body)

    def excited(channels):
        gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.Hardsigmoid())
        return Lambda(lambda self, x: x * self.gate(x), gate=gate)

    def squeezed_as(self, x):  # the first squeeze-and-excitation's way of a factor
        return x * self.gate(x.mean((2, 3))).view(x.size(0), x.size(1), 1, 1).expand_as(x)

    def attended(self, x):  # steps by their weights
        y = self.cell(x)[0]
        return self.out((torch.softmax(self.score(y), 1) * y).sum(1))

    def cell(kind, layers, both, how, **more):
        made = kind(12, 20, layers, batch_first=True, bidirectional=both, **more)
        out = nn.Linear(20 * (1 + both), 5)
        read = {'last': lambda self, x: self.out(self.cell(x)[0][:, -1]),
                'steps': lambda self, x: self.out(self.cell(x)[0]),
                'state': lambda self, x: self.out((self.cell(x)[1][0] if kind is nn.LSTM else self.cell(x)[1])[-1]),
                'mean': lambda self, x: self.out(self.cell(x)[0].mean(1))}
        return Lambda(read[how], cell=made, out=out)

    lenet = nn.Sequential(
        nn.Conv2d(1, 8, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5, 1, 2), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 7 * 7, 64), nn.ReLU(), nn.Dropout(.5), nn.Linear(64, 10))
    vgg = nn.Sequential(block(3, 8), block(8, 8), nn.MaxPool2d(2), block(8, 16), block(16, 16), nn.MaxPool2d(2),
                        nn.Flatten(), nn.Linear(16 * 64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))
    resnet = nn.Sequential(block(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), residual(8, 8), residual(8, 16, 2),
                           residual(16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    mobile = nn.Sequential(block(3, 8, 3, 2, act=nn.ReLU6), inverted(8, 8, 1), inverted(8, 12, 2), inverted(12, 12, 1),
                           block(12, 32, 1, act=nn.Hardswish), excited(32), nn.AdaptiveAvgPool2d((1, 1)),
                           nn.Flatten(1), nn.Linear(32, 10))
    acts = nn.Sequential(nn.Linear(9, 16), nn.GELU(), nn.Linear(16, 16), nn.SiLU(), nn.LayerNorm(16),
                         nn.Linear(16, 16), nn.ELU(.7), nn.LeakyReLU(.2), nn.Linear(16, 16, bias=False), nn.Softplus(),
                         nn.BatchNorm1d(16), nn.Tanh(), nn.Hardtanh(-.5, .75), nn.Sigmoid(), nn.Softmax(-1))
    pools = nn.Sequential(nn.Conv2d(2, 6, (3, 5), (1, 2), (1, 2), bias=False),
                          nn.ZeroPad2d((1, 2, 0, 1)), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
                          nn.AvgPool2d(2, 1, 1), nn.AvgPool2d((3, 2), 1, (1, 1), count_include_pad=False),
                          nn.Upsample(scale_factor=2), nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2))
    scaled = Lambda(lambda self, x: self.net((x - self.mean) / self.deviation), net=nn.Conv2d(3, 4, 3))
    scaled.mean, scaled.deviation = torch.rand(1, 3, 1, 1), 1 + torch.rand(1, 3, 1, 1)
    viewed = Lambda(lambda self, x: self.out(torch.cat([self.a(x), self.b(x)], 1)[:, :, 1:5, 2:].reshape(x.size(0), -1)),
                    a=nn.Conv2d(2, 3, 3, padding=1), b=nn.Conv2d(2, 2, 1), out=nn.Linear(5 * 4 * 6, 3))
    words = Lambda(lambda self, x: self.out(self.cell(self.table(x))[0][:, -1]), table=nn.Embedding(11, 6),
                   cell=nn.GRU(6, 9, batch_first=True), out=nn.Linear(9, 11))
    def gap(self, x):  # mean over height: a text reader's other way to steps
        x = self.features(x)
        return self.out(self.cell(x.mean(2).permute(2, 0, 1))[0]).permute(1, 0, 2)

    def columns(self, x):  # height and channels of a column are a step's features
        x = self.features(x)
        x = x.permute(0, 3, 1, 2).reshape(x.size(0), x.size(3), x.size(1) * x.size(2))
        return self.out(self.cell(x)[0])

    def squeezed(self, x):  # features one high
        x = self.features(x).squeeze(2).permute(0, 2, 1)
        return self.out(self.cell(x)[0][:, -1, :])

    def unet(self, x):
        a = self.down1(x)
        b = self.down2(torch.nn.functional.max_pool2d(a, 2))
        c = self.deep(torch.nn.functional.max_pool2d(b, 2))
        c = self.up2(torch.cat([self.grow2(c), b], 1))
        c = self.up1(torch.cat([torch.nn.functional.interpolate(c, scale_factor=2, mode='bilinear'), a], 1))
        return self.head(c)

    def states(self, x):  # what both directions of the top layer end with
        h = self.cell(x)[1]
        h = h[0] if isinstance(h, tuple) else h
        return self.out(torch.cat([h[-2], h[-1]], 1))

    reader = lambda high: nn.Sequential(nn.Conv2d(1, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                                        nn.Conv2d(6, 8, (high, 3), 1, (0, 1)), nn.LeakyReLU(.1))
    both = lambda kind, fan_in, **more: kind(fan_in, 7, 2, batch_first=True, bidirectional=True, **more)
    crnn = Lambda(columns, features=reader(3), cell=both(nn.LSTM, 8 * 2), out=nn.Linear(14, 5))
    crnn_flat = Lambda(squeezed, features=reader(4), cell=both(nn.GRU, 8), out=nn.Linear(14, 5))
    crnn_mean = Lambda(gap, features=reader(1), cell=nn.LSTM(8, 7, 2, bidirectional=True), out=nn.Linear(14, 5))
    double = lambda a, b: nn.Sequential(block(a, b), block(b, b))
    small_unet = Lambda(unet, down1=double(2, 4), down2=double(4, 6), deep=double(6, 8),
                        grow2=nn.ConvTranspose2d(8, 6, 2, 2), up2=double(12, 6), up1=double(10, 4), head=nn.Conv2d(4, 3, 1))
    auto = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                         nn.Linear(6 * 49, 10), nn.Linear(10, 6 * 49), Lambda(lambda self, x: x.view(-1, 6, 7, 7)),
                         nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1), nn.PReLU(4),
                         nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=2, bias=False), nn.PReLU(), nn.Conv2d(4, 1, 1), nn.Sigmoid())
    conv1d = nn.Sequential(nn.Conv1d(3, 6, 5, 2, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(3, 2, 1),
                           nn.Conv1d(6, 8, 3, padding=2, dilation=2, groups=2), nn.ELU(), nn.AvgPool1d(2),
                           nn.ConstantPad1d((2, 0), 0.), nn.Conv1d(8, 8, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
    conv1d_steps = Lambda(lambda self, x: self.b(self.a(x.transpose(1, 2))).transpose(1, 2) + x,
                          a=nn.Sequential(nn.Conv1d(5, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.Tanh()),
                          b=nn.ConvTranspose1d(6, 5, 3, padding=1))
    groups = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.GroupNorm(1, 8, eps=1e-3),
                           nn.Hardswish(), nn.InstanceNorm2d(8), nn.InstanceNorm2d(8, affine=True),
                           nn.GroupNorm(2, 8, affine=False), nn.Dropout2d(.3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    layer = Lambda(lambda self, x: self.b(self.n(torch.nn.functional.gelu(self.a(x)) + self.p)).softmax(1),
                   a=nn.Linear(6, 8), n=nn.LayerNorm(8, eps=1e-4), b=nn.Linear(8, 5, bias=False))
    layer.p = torch.rand(7, 8)
    whole = nn.Sequential(nn.Conv2d(2, 3, 3), nn.LayerNorm([3, 5, 6]), nn.LayerNorm(6, elementwise_affine=False),
                          nn.Softmax2d(), nn.Flatten(2), nn.Linear(30, 4))
    chained = Lambda(lambda self, x: self.out(self.conv(x).view(x.size(0), x.size(1) * 2 * (x.size(2) - 2) * (x.size(3) - 2))),
                     conv=nn.Conv2d(2, 4, 3), out=nn.Linear(4 * 36, 3))
    halves = Lambda(lambda self, x: self.out(torch.sigmoid(self.conv(x).chunk(2, 1)[0]) * (1 - self.conv(x).chunk(2, 1)[1]))
                    - x[:, 2:3] / 3, conv=nn.Conv2d(3, 8, 3, padding=1), out=nn.Conv2d(4, 1, 1))
    tokens = Lambda(lambda self, x: self.out(torch.relu(self.conv(self.table(x).permute(0, 2, 1))).max(2)[0]),
                    table=nn.Embedding(11, 6), conv=nn.Conv1d(6, 5, 3), out=nn.Linear(5, 2))
    pixels = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), Lambda(squeezed_as, gate=nn.Sequential(nn.Linear(12, 12), nn.Sigmoid())),
                           nn.PixelShuffle(2), nn.Conv2d(3, 8, 1), nn.PixelUnshuffle(2), nn.Conv2d(32, 2, 1))
    attention = Lambda(attended, cell=nn.LSTM(5, 6, batch_first=True), score=nn.Linear(6, 1), out=nn.Linear(6, 2))
    seed = torch.Generator().manual_seed(1)
    rand = lambda *shape: torch.rand(*shape, generator=seed) - .5
    yield 'lenet5', lenet, rand(3, 1, 28, 28)
    yield 'vgg', vgg, rand(3, 3, 32, 32)
    yield 'resnet', resnet, rand(3, 3, 32, 32)
    yield 'mobile', mobile, rand(3, 3, 32, 32)
    yield 'activations', acts, rand(3, 9)
    yield 'pools', pools, rand(3, 2, 11, 13)
    yield 'scaled', scaled, rand(3, 3, 8, 8)
    yield 'viewed', viewed, rand(3, 2, 8, 8)
    for name, net, shape in (
            ('crnn', crnn, (1, 8, 20)), ('crnn_flat', crnn_flat, (1, 8, 20)), ('crnn_mean', crnn_mean, (1, 8, 20)),
            ('unet', small_unet, (2, 12, 16)), ('autoencoder', auto, (1, 28, 28)), ('conv1d', conv1d, (3, 30)),
            ('conv1d_steps', conv1d_steps, (9, 5)), ('groupnorm', groups, (3, 9, 8)), ('layernorm', layer, (7, 6)),
            ('whole', whole, (2, 7, 8)), ('chained', chained, (2, 8, 8)), ('halves', halves, (3, 6, 5)),
            ('pixels', pixels, (3, 4, 6)), ('attention', attention, (7, 5))):
        yield name, net, rand(3, *shape)
    for kind in nn.RNN, nn.GRU, nn.LSTM:
        net = Lambda(states, cell=both(kind, 12), out=nn.Linear(14, 5))
        yield 'states_%s' % kind.__name__.lower(), net, rand(3, 6, 12)
    yield 'tokens', tokens, torch.randint(0, 11, (3, 7), generator=seed)
    yield 'words', words, torch.randint(0, 11, (3, 7), generator=seed)
    for kind in nn.RNN, nn.LSTM, nn.GRU:
        for layers in 1, 2:
            for both in False, True:
                for how in ('last', 'steps', 'mean') if both else ('last', 'steps', 'state', 'mean'):
                    name = '%s-%d-%s-%s' % (kind.__name__.lower(), layers, 'both' if both else 'one', how)
                    yield name, cell(kind, layers, both, how), rand(3, 6, 12)
    yield 'rnn-relu', cell(nn.RNN, 1, False, 'last', nonlinearity='relu'), rand(3, 6, 12)


def export(folder):
    """Nets by four operator sets, the batch fixed and free, with constants folded and not; of the many cells
    each by one."""
    import os
    import struct
    import warnings
    import torch
    from torch import nn
    warnings.filterwarnings('ignore')
    torch.manual_seed(1)
    count = cells = 0
    for name, net, x in nets():
        net.eval()
        cells += '-' in name
        for part in net.modules():  # norms that have learnt something
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean.uniform_(-.3, .3), part.running_var.uniform_(.5, 1.5)
                part.weight.data.uniform_(.5, 1.5), part.bias.data.uniform_(-.3, .3)
        with torch.no_grad():
            y = net(x)
        ways = (11, False), (13, True), (16, False), (17, True)
        for opset, free in ways if cells == 0 else ways[cells % 4:][:1]:
            if (name, opset) == ('whole', 17):
                continue  # PyTorch 1.13 writes a LayerNormalization without weights, which may not be
            path = os.path.join(folder, '%s-%d' % (name, opset))
            axes = {'x': {0: 'N'}, 'y': {0: 'N'}} if free else None
            kept = torch.onnx.TrainingMode.PRESERVE if opset == 13 else torch.onnx.TrainingMode.EVAL
            torch.onnx.export(net, x, path + '.onnx', opset_version=opset, input_names=['x'], output_names=['y'],
                              dynamic_axes=axes, training=kept, do_constant_folding=opset < 16,
                              keep_initializers_as_inputs=opset == 11)
            with open(path + '.bin', 'wb') as f:
                f.write(struct.pack('<I', x.shape[0]) + x.float().numpy().tobytes() + y.numpy().tobytes())
            count += 1
    print('%d files' % count)


def operators():
    """Name, operator set, shape of the input, and what makes y of x: (operator, inputs, outputs, attributes)."""
    import numpy as np
    rand = np.random.RandomState(1)
    real = lambda *shape: np.asarray(rand.rand(*shape) - .5, np.float32)
    whole = lambda *list: np.array(list, np.int64)
    image, steps = (3, 4, 6, 7), (3, 9, 4)

    def one(name, shape, op, *more, opset=13, **attributes):
        return name, opset, shape, [(op, ('x', *more), ('y',), attributes)]

    for pad in 'SAME_UPPER', 'SAME_LOWER', 'VALID':
        for kernel, stride in (2, 1), (3, 2), (4, 3), (2, 3):
            two, name = dict(kernel_shape=[kernel, 3], strides=[stride, 1], auto_pad=pad), '%s-%d-%d' % (pad, kernel, stride)
            yield one('conv-' + name, image, 'Conv', real(5, 4, kernel, 3), real(5), **two)
            yield one('conv1d-' + name, steps, 'Conv', real(5, 9, kernel), auto_pad=pad, strides=[stride])
            if kernel < stride:
                continue  # ONNX Runtime has padding below 0 then
            yield one('max-' + name, image, 'MaxPool', **two)
            yield one('mean-' + name, image, 'AveragePool', **two)
            yield one('counted-' + name, image, 'AveragePool', count_include_pad=1, **two)
            yield one('max1d-' + name, steps, 'MaxPool', kernel_shape=[kernel], strides=[stride], auto_pad=pad)
    for i, pads in enumerate(([0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0])):
        yield one('conv-pads-%d' % i, image, 'Conv', real(2, 2, 3, 3), pads=pads, group=2)
        yield one('max-pads-%d' % i, image, 'MaxPool', kernel_shape=[3, 2], pads=pads, strides=[2, 2])
        yield one('mean-pads-%d' % i, image, 'AveragePool', kernel_shape=[3, 2], pads=pads)
        yield one('back-pads-%d' % i, image, 'ConvTranspose', real(4, 3, 3, 3), pads=[1, 1, *pads[2:]], strides=[2, 2])
    yield one('ceil', image, 'MaxPool', kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    yield one('back-1d', steps, 'ConvTranspose', real(9, 2, 4), real(6), strides=[3], group=3, output_padding=[1], pads=[1, 1])
    yield one('back-wide', image, 'ConvTranspose', real(4, 2, 3, 2), dilations=[2, 1], strides=[1, 2], output_padding=[0, 1])
    for axis in 1, 2, 3, -1:
        for opset in 11, 13:
            yield one('softmax-%d-%d' % (axis, opset), image, 'Softmax', opset=opset, axis=axis)
        yield one('norm-%d' % axis, image, 'LayerNormalization', real(*image[axis:]), real(*image[axis:]), opset=17, axis=axis)
        yield ('split-%d' % axis, 13, image, [('Split', ('x',), ('a', 'b') if axis < 3 and axis > 0 else ('a',), {'axis': axis}),
                                              ('Tanh', ('a',), ('c',), {}), ('Concat', ('c', 'x', 'a'), ('y',), {'axis': axis})])
        yield 'times-%d' % axis, 13, image, [('ReduceMean', ('x',), ('a',), {'axes': [axis]}), ('Mul', ('a', 'x'), ('y',), {})]
        yield one('take-%d' % axis, image, 'Gather', np.int64(-2), axis=axis)
        yield one('cut-%d' % axis, image, 'Slice', whole(1), whole(3), whole(axis))
        yield one('turned-%d' % axis, image, 'Slice', whole(-1), whole(-100), whole(axis), whole(-1))
    for axes in [1], [2], [3], [2, 3], [1, 2], [1, 3], [1, 2, 3], [-1]:
        for keep in 0, 1:
            name = '%s-%d' % (''.join(map(str, axes)), keep)
            yield one('mean-over-' + name, image, 'ReduceMean', axes=axes, keepdims=keep)
            yield one('most-over-' + name, image, 'ReduceMax', axes=axes, keepdims=keep)
            yield one('sum-over-' + name, image, 'ReduceSum', whole(*axes), keepdims=keep)
    for i, shape in enumerate(((), (1,), (4, 1, 1), (7,), (6, 1), (6, 7), (4, 1, 7), (4, 6, 7), (1, 4, 1, 1))):
        for op in 'Add', 'Sub', 'Mul', 'Div':
            yield one('%s-%d' % (op, i), image, op, np.float32(1) + real(*shape))
            if op != 'Div':
                yield '%s-before-%d' % (op, i), 13, image, [(op, (np.float32(1) + real(*shape), 'x'), ('y',), {})]
        if op and i in (1, 2, 3, 7):
            yield one('prelu-%d' % i, image, 'PRelu', real(*shape))
    yield one('product', image, 'MatMul', real(7, 5))
    yield 'product-left', 13, image, [('MatMul', (real(5, 6), 'x'), ('y',), {})]
    yield 'product-biased', 13, image, [('MatMul', ('x', real(7, 5)), ('a',), {}), ('Add', (real(5), 'a'), ('y',), {})]
    yield one('gemm', (3, 6), 'Gemm', real(6, 5), real(1, 5), alpha=.5, beta=2.)
    yield one('batch', steps, 'BatchNormalization', real(9), real(9), real(9), 1 + real(9), epsilon=1e-2)
    yield one('instance', steps, 'InstanceNormalization', real(9), real(9), epsilon=1e-2)
    for i, perm in enumerate(([0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3], [0, 3, 2, 1])):
        yield one('turn-%d' % i, image, 'Transpose', perm=perm)
        yield 'turn-two-%d' % i, 13, image, [('Transpose', ('x',), ('a',), {'perm': perm}), ('Softmax', ('a',), ('b',), {'axis': 2}),
                                             ('Reshape', ('b', whole(0, -1, 2)), ('c',), {}), ('Transpose', ('c',), ('y',), {'perm': [0, 2, 1]})]
    yield 'shuffle', 13, image, [('Reshape', ('x', whole(0, 2, 2, 6, 7)), ('a',), {}),
                                 ('Transpose', ('a',), ('b',), {'perm': [0, 2, 1, 3, 4]}), ('Reshape', ('b', whole(-1, 4, 6, 7)), ('y',), {})]
    yield 'to-depth', 13, image, [('Reshape', ('x', whole(0, 4, 3, 2, 7)), ('a',), {}),
                                  ('Transpose', ('a',), ('b',), {'perm': [0, 3, 1, 2, 4]}), ('Reshape', ('b', whole(0, 8, 3, 7)), ('c',), {}),
                                  ('Conv', ('c', real(2, 8, 1, 1)), ('y',), {})]
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    for name, scale, shift, shape, own in (('', ones, zeros, (0, 4, 6, 7), (4, 1, 1)), ('weighted', real(2), real(2), (0, 4, 6, 7), (4, 1, 1)),
                                           ('other', ones, zeros, (0, 2, 12, 7), (2, 1, 1)), ('placed', ones, zeros, (0, -1, 6, 7), (4, 6, 7))):
        yield 'groups-' + name, 13, image, [ # a group norm, or nearly one
            ('Reshape', ('x', whole(0, 2, -1)), ('a',), {}), ('InstanceNormalization', ('a', scale, shift), ('b',), {'epsilon': 1e-2}),
            ('Reshape', ('b', whole(*shape)), ('c',), {}), ('Mul', ('c', real(*own)), ('d',), {}), ('Add', (real(*own), 'd'), ('y',), {})]
    yield 'product-placed', 13, image, [('MatMul', ('x', real(7, 5)), ('a',), {}), ('Add', ('a', real(6, 5)), ('y',), {})]
    for op in 'Mul', 'Div':
        for i, shape in enumerate(((4, 1, 1), (7,), ())):
            yield 'scaled-%s-%d' % (op, i), 13, image, [('Sub', ('x', real(4, 1, 1)), ('a',), {}),
                                                        (op, ('a', np.float32(1) + real(*shape)), ('y',), {})]
    yield 'spread', 13, image, [('Add', (real(4, 1, 1), real(6, 1)), ('a',), {}), ('Expand', ('a', whole(1, 1, 1, 7)), ('b',), {}),
                                ('Slice', ('b', whole(-1), whole(-9), whole(3), whole(-1)), ('c',), {}), ('Add', ('x', 'c'), ('y',), {})]
    for i, (mode, where, how) in enumerate((('nearest', 'half_pixel', 'round_prefer_floor'), ('nearest', 'half_pixel', 'round_prefer_ceil'),
                                            ('nearest', 'asymmetric', 'floor'), ('linear', 'half_pixel', 'floor'),
                                            ('linear', 'pytorch_half_pixel', 'floor'))):
        more = dict(mode=mode, coordinate_transformation_mode=where, nearest_mode=how)
        yield one('resize-%d' % i, image, 'Resize', None, np.array([1, 1, 2, 3], np.float32), **more)
        yield one('resize-1d-%d' % i, steps, 'Resize', None, np.array([1, 1, 3], np.float32), **more)
        yield one('resize-to-%d' % i, image, 'Resize', None, None, whole(3, 4, 24, 14), **more)
    yield one('pad', image, 'Pad', whole(0, 0, 1, 0, 0, 0, 2, 3))
    for mode in 'DCR', 'CRD':
        yield one('to-space-' + mode, (3, 12, 2, 3), 'DepthToSpace', blocksize=2, mode=mode)
        yield 'to-space-again-' + mode, 13, (3, 32, 2, 3), [('DepthToSpace', ('x',), ('a',), {'blocksize': 2, 'mode': mode}),
                                                            ('DepthToSpace', ('a',), ('y',), {'blocksize': 2, 'mode': mode})]
    for i, shape in enumerate(((0, 4, 1, 1), (0, 4, 1, 7), (0, 1, 6, 1))):  # a factor that is spread out, first and last
        axes = [k for k in (1, 2, 3) if shape[k] == 1]
        for back in 0, 1:
            yield 'factor-%d-%d' % (i, back), 13, image, [
                ('ReduceMean', ('x',), ('m',), {'axes': axes}), ('Shape', ('x',), ('s',), {}), ('Expand', ('m', 's'), ('a',), {}),
                ('Mul', ('xa', 'ax')[back], ('y',), {})]
    yield 'joined', 13, image, [
        ('Concat', (real(4, 2, 7), real(4, 1, 7), real(4, 3, 7)), ('a',), {'axis': 1}),
        ('Concat', (real(2, 6, 1), real(2, 6, 1)), ('b',), {'axis': 0}), ('Add', ('a', 'b'), ('c',), {}), ('Add', ('x', 'c'), ('y',), {})]
    for op, gates in ('RNN', 1), ('LSTM', 4), ('GRU', 3):
        for way in 'forward', 'reverse', 'bidirectional':
            d, more = 2 if way == 'bidirectional' else 1, dict(direction=way, hidden_size=5)
            if op == 'GRU':
                more['linear_before_reset'] = 1
            weights = real(d, gates * 5, 4), real(d, gates * 5, 5), real(d, gates * 10)
            for k in 0, 1:  # all steps, the last states
                yield '%s-%s-%d' % (op, way, k), 13, steps, [
                    ('Transpose', ('x',), ('a',), {'perm': [1, 0, 2]}), (op, ('a', *weights), ('b', 'c'), more),
                    ('Transpose', ('bc'[k],), ('y',), {'perm': [1, 0, 2] if k else [2, 0, 1, 3]})]
    for op, more in (('Elu', {}), ('Elu', {'alpha': .3}), ('LeakyRelu', {}), ('Softplus', {}), ('HardSwish', {}), ('Clip', {}),
                     ('HardSigmoid', {'alpha': 1 / 6}), ('Flatten', {}), ('GlobalMaxPool', {}), ('GlobalAveragePool', {})):
        yield one('%s-%d' % (op, len(more)), image, op, opset=14, **more)
    yield one('least', image, 'Clip', np.float32(-.1))
    yield one('most', image, 'Clip', None, np.float32(.2))


def made(folder):
    """Each operator by its own graph, in a file; the answers are still to come."""
    import os
    import struct
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save
    rand = np.random.RandomState(2)
    count = 0
    for name, opset, shape, steps in operators():
        nodes, constants = [], []
        for op, inputs, outputs, attributes in steps:
            names = []
            for value in inputs:
                if value is not None and not isinstance(value, str):
                    constants.append(numpy_helper.from_array(np.asarray(value), 'c%d' % len(constants)))
                names.append('' if value is None else value if isinstance(value, str) else constants[-1].name)
            nodes.append(helper.make_node(op, names, outputs, **attributes))
        info = helper.make_tensor_value_info
        graph = helper.make_graph(nodes, name, [info('x', TensorProto.FLOAT, [shape[0] if '-to-' in name else 'N', *shape[1:]])],
                                  [info('y', TensorProto.FLOAT, None)], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=7)
        save(model, os.path.join(folder, name + '.onnx'))
        with open(os.path.join(folder, name + '.bin'), 'wb') as f:
            f.write(struct.pack('<I', shape[0]) + (rand.rand(*shape) - .5).astype(np.float32).tobytes())
        count += 1
    print('%d files' % count)


if __name__ == '__main__':
    {'check': lambda: check(sys.argv[2:]), 'torch': lambda: export(sys.argv[2]), 'made': lambda: made(sys.argv[2])}[sys.argv[1]]()
