#!/usr/bin/env python3
"""Makes tests/goldens/keras.npz: two small nets in the layouts and by the formulas of Keras (channels
last), written in plain numpy from its documentation, and what they answer. Needs numpy alone.
usage: tests/keras.py [FILE]"""
import sys
import numpy as np

random = np.random.RandomState(5)
arrays = {}


def weights(name, *shape):
    arrays[name] = random.uniform(-.8, .8, shape).astype("f4")
    return arrays[name].astype("f8")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv2d(x, kernel, bias):  # [n,h,w,in], [kh,kw,in,out], "valid"
    kh, kw = kernel.shape[:2]
    y = np.zeros((x.shape[0], x.shape[1] - kh + 1, x.shape[2] - kw + 1, kernel.shape[3]))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            y[:, i, j] = np.tensordot(x[:, i:i + kh, j:j + kw], kernel, 3) + bias
    return y


def depthwise_conv2d(x, kernel, bias):  # [kh,kw,in,multiplier]: output in * multiplier + m
    kh, kw, channels, multiplier = kernel.shape
    y = np.zeros((x.shape[0], x.shape[1] - kh + 1, x.shape[2] - kw + 1, channels * multiplier))
    for c in range(channels):
        for m in range(multiplier):
            y[..., c * multiplier + m] = conv2d(x[..., c:c + 1], kernel[:, :, c:c + 1, m:m + 1], 0)[..., 0]
    return y + bias


def batch_norm(x, gamma, beta, mean, variance):  # epsilon=1e-5
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def lstm(x, kernel, recurrent, bias):
    h = c = np.zeros((x.shape[0], recurrent.shape[0]))
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


def gru(x, kernel, recurrent, bias):  # reset_after=True
    h = np.zeros((x.shape[0], recurrent.shape[0]))
    out = []
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent + bias[1], 3, axis=1)
        z = sigmoid(xz + hz)
        h = z * h + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)
        out.append(h)
    return np.stack(out, 1)


def simple_rnn(x, kernel, recurrent, bias):
    h = np.zeros((x.shape[0], recurrent.shape[0]))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent + bias)
    return h


def norm_weights(name, n):
    gamma, beta, mean = (weights(f"{name}/{w}", n) for w in ("gamma", "beta", "moving_mean"))
    arrays[f"{name}/moving_variance"] = random.uniform(.5, 2, n).astype("f4")
    return gamma, beta, mean, arrays[f"{name}/moving_variance"].astype("f8")


x = random.uniform(-1, 1, (2, 6, 5, 2))
y = np.maximum(conv2d(x, weights("conv/kernel", 3, 2, 2, 3), weights("conv/bias", 3)), 0)
y = depthwise_conv2d(y, weights("deep/kernel", 2, 2, 3, 2), weights("deep/bias", 6))
y = batch_norm(y, *norm_weights("norm", 6)).reshape(2, -1)  # Flatten: pixel by pixel
y = batch_norm(y, *norm_weights("flat", y.shape[1]))
y = np.maximum(y, 0) @ weights("dense/kernel", y.shape[1], 4) + weights("dense/bias", 4)
arrays["x"] = x.transpose(0, 3, 1, 2).astype("f4")  # as nn takes images
arrays["y"] = y.astype("f4")

s = random.uniform(-1, 1, (2, 5, 3))
t = lstm(s, weights("lstm/kernel", 3, 16), weights("lstm/recurrent", 4, 16), weights("lstm/bias", 16))
t = gru(t, weights("gru/kernel", 4, 9), weights("gru/recurrent", 3, 9), weights("gru/bias", 2, 9))
t = simple_rnn(t, weights("rnn/kernel", 3, 2), weights("rnn/recurrent", 2, 2), weights("rnn/bias", 2))
t = t @ weights("out/kernel", 2, 2) + weights("out/bias", 2)
arrays["s"] = s.astype("f4")
arrays["t"] = t.astype("f4")
np.savez(sys.argv[1] if len(sys.argv) > 1 else "tests/goldens/keras.npz",
         **{name: np.ascontiguousarray(a) for name, a in arrays.items()})
