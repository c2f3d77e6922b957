#!/usr/bin/python3
"""The PyTorch side of tests/bench.c, which starts it and speaks with it over two pipes.

    bench_torch.py THREADS

First line out: "ready VERSION". Then for each line in, "CASE COUNT", it runs the case COUNT times
and answers with the mean milliseconds of one run. "CASE" is a kind and numbers joined by colons:

    lenet_train:CHANNELS:SIDE:BATCH    lenet_forward:CHANNELS:SIDE:BATCH
    cell_train:KIND:LAYERS:HIDDEN:BATCH
    conv_forward:IN:OUT:KERNEL:SIDE:BATCH    conv_backward: the same (parts: see conv)
"""
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


def conv(fan_in, out, kernel, side, batch, backward):
    """Backward: the gradient of weights and bias, and of the input unless it is a first layer."""
    net = nn.Conv2d(fan_in, out, kernel, 1, kernel // 2)
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


def make(case):
    kind, *numbers = case.split(':')
    if kind == 'cell_train':
        layers, hidden, batch = map(int, numbers[1:])
        return timed(trainer(Rows(numbers[0], layers, hidden), torch.rand(batch, 28, 28)))
    numbers = list(map(int, numbers))
    if kind in ('conv_forward', 'conv_backward'):
        return conv(*numbers, kind == 'conv_backward')
    channels, side, batch = numbers
    net, x = lenet(channels, side), torch.rand(batch, channels, side, side)
    return timed(trainer(net, x) if kind == 'lenet_train' else forwarder(net, x))


def blas():
    """The BLAS library that was loaded with torch, "" where that cannot be told."""
    try:
        with open('/proc/self/maps') as f:
            names = {line.split('/')[-1].strip() for line in f}
        known = ('libopenblas', 'libblis', 'libmkl')
        return ' '.join(sorted(name for name in names if name.startswith(known)))
    except OSError:
        return ''


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(1)
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # nothing else may get into the answers
    print('ready', torch.__version__, blas(), file=answers, flush=True)
    case = run = None
    for line in sys.stdin:
        name, count = line.split()
        if name != case:
            run = None  # frees the case before
            case, run = name, make(name)
            run(2)
        count = int(count)
        print('%.9g' % (run(count) / count * 1e3), file=answers, flush=True)


if __name__ == '__main__':
    main()
