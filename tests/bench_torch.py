#!/usr/bin/python3
"""The PyTorch side of tests/bench.c, which starts it and speaks with it over two pipes.

    bench_torch.py THREADS
    bench_torch.py core
    bench_torch.py onnx FOLDER CASES..

"core" prints the core that torch's OpenBLAS chose ("-": it has none) and the GFLOP/s of a product
on one thread. "onnx" writes the networks of forward cases as ONNX files. Else the first line out is "ready VERSION ..". Then for each line in, "CASE COUNT
THREADS", it runs the case COUNT times on so many threads and answers with the mean milliseconds of
one run. "CASE" is a kind and numbers joined by colons:

    lenet_train:CHANNELS:SIDE:BATCH    lenet_forward:CHANNELS:SIDE:BATCH
    cell_train:KIND:LAYERS:HIDDEN:BATCH    cell_forward:KIND:LAYERS:HIDDEN:BATCH
    conv_forward:IN:OUT:KERNEL:SIDE:BATCH    conv_backward: the same (parts: see conv)
    upconv_forward, upconv_backward: the same, transposed
"""
import ctypes
import os
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    sys.exit(str(error))


def lenet(channels, side):
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64 * (side // 4) ** 2, 1024), nn.ReLU(), nn.Linear(1024, 10))


class Rows(nn.Module):
    def __init__(self, kind, layers, hidden):
        super().__init__()
        cell = {'rnn': nn.RNN, 'lstm': nn.LSTM, 'gru': nn.GRU}[kind]
        self.cell = cell(28, hidden, layers, batch_first=True)
        self.out = nn.Linear(hidden, 10)

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


def trainer(net, x):
    labels = torch.arange(x.shape[0]) % 10
    adam = torch.optim.Adam(net.parameters(), 1e-3)

    def step():
        adam.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), labels).backward()
        adam.step()
    return step


def forwarder(net, x):
    net.eval()

    def forward():
        with torch.inference_mode():
            net(x)
    return forward


def timed(run):
    def many(count):
        start = time.perf_counter()
        for _ in range(count):
            run()
        return time.perf_counter() - start
    return many


def conv(fan_in, out, kernel, side, batch, backward, up):
    """Backward: the gradient of weights and bias, and of the input unless it is a first layer. Up: a
    transposed convolution at stride 2."""
    net = nn.ConvTranspose2d(fan_in, out, kernel, 2, 1) if up else \
        nn.Conv2d(fan_in, out, kernel, 1, kernel // 2)
    x = torch.rand(batch, fan_in, side, side, requires_grad=bool(backward and fan_in > 3))
    if not backward:
        return timed(forwarder(net, x))

    def many(count):
        spent = 0.0
        for _ in range(count):
            net.zero_grad(set_to_none=True)
            x.grad = None
            y = net(x)
            gradient = torch.ones_like(y)
            start = time.perf_counter()
            y.backward(gradient)
            spent += time.perf_counter() - start
        return spent
    return many


def network(kind, numbers):
    """The network of a case and its input."""
    if kind.startswith('cell_'):
        layers, hidden, batch = map(int, numbers[1:])
        return Rows(numbers[0], layers, hidden), torch.rand(batch, 28, 28)
    channels, side, batch = map(int, numbers)
    return lenet(channels, side), torch.rand(batch, channels, side, side)


def make(case):
    kind, *numbers = case.split(':')
    if 'conv_' in kind:
        return conv(*map(int, numbers), kind.endswith('_backward'), kind.startswith('up'))
    net, x = network(kind, numbers)
    return timed(trainer(net, x) if kind.endswith('_train') else forwarder(net, x))


def export(folder, cases):
    for case in cases:
        kind, *numbers = case.split(':')
        net, x = network(kind, numbers)
        torch.onnx.export(net.eval(), x, os.path.join(folder, case.replace(':', '-') + '.onnx'),
                          opset_version=13)


def blas():
    """The path of torch's BLAS library, "" where that cannot be told. numpy may load its own."""
    try:
        with open('/proc/self/maps') as f:
            paths = {line.split(None, 5)[-1].strip() for line in f}
    except OSError:
        return ''
    known = ('libopenblas', 'libblis', 'libmkl')
    return next((path for path in sorted(paths)
                 if os.path.basename(path).startswith(known) and 'numpy' not in path), '')


def core(path):
    """What that library, if it is OpenBLAS, calls the kernels it chose; else "-"."""
    tell = getattr(ctypes.CDLL(path), 'openblas_get_corename', None) if path else None
    if not tell:
        return '-'
    tell.restype = ctypes.c_char_p
    return tell().decode()


def rate():
    """GFLOP/s of the fastest product of some, .2 s long."""
    size = 384
    a, b = torch.rand(size, size), torch.rand(size, size)
    product = timed(lambda: torch.mm(a, b))
    best, end = product(1), time.perf_counter() + .2
    while time.perf_counter() < end:
        best = min(best, product(1))
    return 2e-9 * size ** 3 / best


def vectors():
    """The instruction set of torch's own kernels."""
    lines = torch.__config__.show().splitlines()
    return next((line.split(':')[1].strip() for line in lines if 'CPU capability' in line), '?')


def use_threads(count, path):
    """torch does not tell an OpenBLAS that has threads of its own."""
    torch.set_num_threads(count)
    tell = getattr(ctypes.CDLL(path), 'openblas_set_num_threads', None) if path else None
    if tell:
        tell(count)


def main():
    if sys.argv[1] == 'onnx':
        export(sys.argv[2], sys.argv[3:])
        return
    path = blas()
    if sys.argv[1] == 'core':
        use_threads(1, path)
        print(core(path), '%.4g' % rate())
        return
    use_threads(int(sys.argv[1]), path)
    torch.manual_seed(1)
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # nothing else may get into the answers
    print('ready %s, BLAS %s, core %s, own kernels %s' %
          (torch.__version__, os.path.basename(path) or '?', core(path), vectors()),
          file=answers, flush=True)
    case = run = None
    for line in sys.stdin:
        name, count, threads = line.split()
        use_threads(int(threads), path)
        if name != case:
            run = None  # frees the case before
            case, run = name, make(name)
            run(2)
        count = int(count)
        print('%.9g' % (run(count) / count * 1e3), file=answers, flush=True)


if __name__ == '__main__':
    main()
