"""Modules at random, as the source of a class, of parts that people write: layers, functions, state, ways to put parts together.

What flows through a module has one of three kinds, so that any part fits behind any other of its kind: "rows" (batch, 8),
"time" (batch, 5, 8) and "image" (batch, 4, 4, 4). Every choice comes from `random.Random(seed).random()`, whose numbers
Python promises for good: a seed is the same module on every machine.
"""

import linecache
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import torch.nn as nn

DRAWS = "its forward pass draws random numbers itself"
READS = "its forward pass reads values of a tensor"
DECIDES = "its forward pass decides by the values of a tensor"
OTHERS = "in evaluation, what it makes of an example depends on the others in the batch"
DIFFERS = "computes with a number that differs between runs"


class Part(NamedTuple):
    """Some lines of a module, each `$` in which becomes a number of its own.

    Attributes:
        forward: what becomes of `h`.
        init: what the constructor makes for that.
        why: what the harness says of a module that has it, if that cannot train in a population.
        to: the kind that it makes of its own; "" for the same.
        once: whether torch refuses it a second time in a forward pass.
    """

    forward: str
    init: str = ""
    why: str = ""
    to: str = ""
    once: bool = False


ANY = [
    Part("h = h.tanh()"),
    Part("h = F.relu(h)"),
    Part("h = F.gelu(h)"),
    Part("h = F.silu(h) + 0.1 * F.softplus(h)"),
    Part("h = F.elu(h, alpha=0.7)"),
    Part("h = self.act$(h)", "self.act$ = nn.PReLU()"),
    Part("h = h * torch.sigmoid(h)"),
    Part("h = self.drop$(h)", "self.drop$ = nn.Dropout(dropout)"),
    Part("h = self.drop$(h + 0.1)", "self.drop$ = nn.Dropout(dropout, inplace=True)"),
    Part("h = self.drop$(F.selu(h))", "self.drop$ = nn.AlphaDropout(dropout)"),
    Part("h = F.dropout(h, self.p, self.training)"),
    Part("h = F.dropout(h, p=self.p, training=self.training) if self.p > 0 else h"),
    Part("h = torch.dropout(h, self.p, self.training)"),
    Part("h = h * (1 - self.p)", why=DIFFERS),
    Part("h = h * self.scale$", "self.scale$ = nn.Parameter(torch.ones(()))"),
    Part("h = h * self.scales$[0] + self.scales$[1]", "self.scales$ = nn.ParameterList([torch.ones(1), torch.zeros(1)])"),
    Part("h = self.scale$.exp() * h", 'self.register_parameter("scale$", nn.Parameter(torch.tensor(0.1)))'),
    Part("h = h.clamp(-1.5, 1.5) + 0.1 * h"),
    Part("h = torch.where(h > 0, h, 0.1 * h)"),
    Part("h = h.masked_fill(h < -0.5, 0.25)"),
    Part("h = h / (1e-3 + h.detach().abs().mean())", why=OTHERS),
    Part("h = 2 * h - h.detach()"),
    Part("h = h + (h.sign() - h).detach() * 0.1"),
    Part("with torch.no_grad():\n    bound$ = h.abs().amax(-1, keepdim=True)\nh = h / (1 + bound$)"),
    Part("h = h + 0.1 * torch.randn_like(h) if self.training else h", why=DRAWS),
    Part("h = h * (1 + 0.1 * torch.rand(h.shape, dtype=h.dtype)) if self.training else h", why=DRAWS),
    Part("if self.training:\n    h = h + 0.1 * torch.from_numpy(np.random.randn(*h.shape)).to(h)", why=DRAWS),
    Part("h = h * float(1 + h.detach().mean() / 10) if self.training else h", why=READS),
    Part("if self.training and h.mean() > 0:\n    h = 0.9 * h", why=DECIDES),
    Part("h = 0.5 * h if self.training else h"),
    Part("h = h * (1 + self.steps / 50)"),
    Part("h = h * self.gain$ if self.steps % 3 else h", "self.gain$ = nn.Parameter(torch.full((1,), 1.1))"),
    Part("h = Doubled.apply(h)", why="without a rule for `vmap`"),
    Part("h = Halved.apply(h)"),
    Part("h = checkpoint(lambda x: x.tanh() * self.gain$, h, use_reentrant=False)",
         "self.gain$ = nn.Parameter(torch.ones(1))", why="computes them again in the backward pass"),
    Part("self.seen$ += self.training\nh = h + self.seen$ / 50", 'self.register_buffer("seen$", torch.zeros((), dtype=torch.long))'),
    Part("h = h - self.mean$\nif self.training:\n    self.mean$ = 0.9 * self.mean$ + 0.1 * h.detach().mean()",
         'self.register_buffer("mean$", torch.zeros(()))'),
    Part("if self.training:\n    self.mean$.mul_(0.9).add_(0.1 * h.detach().mean())\nh = h - self.mean$",
         'self.register_buffer("mean$", torch.zeros(()))'),
    Part("if self.training:\n    self.most$ = torch.maximum(self.most$, h.detach().abs().max())\nh = h / self.most$",
         "self.most$ = torch.ones(())"),
    Part("if self.training:\n    with torch.no_grad():\n        self.mean$.lerp_(h.mean().to(self.mean$), 0.1)\nh = h + self.mean$",
         "self.mean$ = nn.Parameter(torch.zeros(1), requires_grad=False)"),
    Part("h = h * sum(p.square().sum() for p in self.first.parameters()).add(1).rsqrt()"),
    Part("h = h + h.new_ones(h.shape[-1]).cumsum(0) / 20"),
    Part("h = h.softmax(-1) * 4"),
    Part("h = F.log_softmax(h, dim=-1) / 2"),
    Part("h = h - h.logsumexp(-1, keepdim=True)"),
    Part("h = F.normalize(h + 0.5, dim=-1) * 2"),
    Part("h = h - h.mean(-1, keepdim=True)"),
    Part("h = h / (0.5 + h.std(-1, keepdim=True))"),
    Part("h = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 0.1)"),
    Part("h = h.cumsum(-1) / 4"),
    Part("h = h.tanh().add(1.5).cumprod(-1) / 4"),
    Part("h = h.logcumsumexp(-1)"),
    Part("h = h.sort(-1).values"),
    Part("h = h.sort(dim=-1, descending=True)[0].flip(-1) + h"),
    Part("h = h.gather(-1, h.argsort(-1))"),
    Part("values$, places$ = h.topk(3, dim=-1)\nh = torch.zeros_like(h).scatter(-1, places$, values$) + 0.1 * h"),
    Part("values$, places$ = h.topk(2, -1)\nh = h.scatter_add(-1, places$, 0.5 * values$)"),
    Part("h = torch.where(h >= h.topk(3, -1).values[..., -1:], h, 0.0)"),
    Part("h = h - 0.5 * h.max(-1, keepdim=True).values"),
    Part("h = h - 0.5 * h.amax(-1, keepdim=True) + 0.5 * h.amin(-1, keepdim=True)"),
    Part("h = h - h.median(-1, keepdim=True).values"),
    Part("h = h + h.kthvalue(2, dim=-1, keepdim=True).values"),
    Part("h = h + h.cummax(-1).values"),
    Part("low$, high$ = torch.aminmax(h, dim=-1, keepdim=True)\nh = (h - low$) / (high$ - low$ + 1)"),
    Part("h = h + F.one_hot(h.argmax(-1), h.shape[-1]).to(h)"),
    Part("h = h.roll(1, -1) + 0.5 * h.flip(-1)"),
    Part("a$, b$ = h.chunk(2, -1)\nh = torch.cat([a$ * b$.sigmoid(), b$], -1)"),
    Part("h = torch.cat([F.glu(h, -1), h[..., : h.shape[-1] // 2]], -1)"),
    Part("a$, b$ = h.split(h.shape[-1] // 2, dim=-1)\nh = torch.stack([a$, b$ - a$], -1).flatten(-2)"),
    Part("h = torch.stack([h[..., 0::2], h[..., 1::2]], -2).flatten(-2)"),
    Part("h = h.unflatten(-1, (2, -1)).transpose(-1, -2).reshape(h.shape)"),
    Part("a$ = h + 0\na$[..., 0] = 0.5\na$[..., 1] = h[..., 0].tanh()\nh = a$"),
    Part("a$ = h * 1.1\na$[..., 1:].sub_(h[..., :-1] / 2)\nh = a$"),
    Part("a$ = torch.empty_like(h)\na$[..., ::2], a$[..., 1::2] = h[..., 1::2], h[..., ::2]\nh = a$"),
    Part("a$ = h.clone()\na$[h < 0] = 0.0\nh = a$"),
    Part("h = h + 0.5\nh.mul_(0.8)\nh += 0.1"),
    Part("h = h.index_select(-1, self.order$)", 'self.register_buffer("order$", torch.arange(4).repeat(2)[-LAST:].flip(0))'),
    Part("h = h[..., [1, 0, 3, 2, 0, 1, 2, 3][: h.shape[-1]]]"),
    Part("h = h.index_add(-1, self.to$, h[..., :2])", "self.to$ = torch.tensor([3, 0])"),
    Part("h = h.index_fill(-1, self.to$, 0.1)", 'self.register_buffer("to$", torch.tensor([1]))'),
    Part("h = torch.take_along_dim(h, h.argsort(-1, descending=True), -1)"),
    Part("h = h + F.pad(h, (1, 0))[..., :-1]"),
    Part("h = torch.lerp(h, h.flip(-1), self.mix$.sigmoid())", "self.mix$ = nn.Parameter(torch.tensor(0.7))"),
    Part("h = torch.addcmul(h, h, h.tanh(), value=0.1)"),
    Part("h = torch.hypot(h, self.side$)", "self.side$ = nn.Parameter(torch.ones(1))"),
    Part("h = torch.fft.irfft(torch.fft.rfft(h) * self.filter$, n=h.shape[-1])",
         "self.filter$ = nn.Parameter(torch.linspace(0.5, 1.0, LAST // 2 + 1))"),
    Part("h = torch.view_as_real(torch.polar(h.tanh().add(2), h)).sum(-1) / 2"),
    Part("h = h * F.cosine_similarity(h, self.to$, dim=-1).unsqueeze(-1)", "self.to$ = nn.Parameter(torch.ones(LAST))"),
    Part("h = h + (h.unsqueeze(-1) - self.points$).square().neg().exp().mean(-1)", "self.points$ = nn.Parameter(torch.linspace(-1, 1, 3))"),
    Part("h = self.norm$(h)", "self.norm$ = nn.LayerNorm(LAST, eps=0.1)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.RMSNorm(LAST, eps=0.1)"),
    Part("h = F.layer_norm(h, h.shape[-1:], self.norm$, eps=0.1)", "self.norm$ = nn.Parameter(torch.ones(LAST))"),
    Part("h = self.a$(h)", "self.a$ = nn.Linear(LAST, LAST)"),
    Part("h = h @ self.a$", "self.a$ = nn.Parameter(torch.eye(LAST) + torch.randn(LAST, LAST) / 9)"),
    Part("h = torch.einsum('...i,ij->...j', h, self.a$)", "self.a$ = nn.Parameter(torch.randn(LAST, LAST) / 3)"),
    Part("h = F.linear(h, self.a$.weight.t())", "self.a$ = nn.Linear(LAST, LAST)"),
    Part("h = F.linear(h, self.a$.weight * self.mask$)",
         'self.a$ = nn.Linear(LAST, LAST)\nself.register_buffer("mask$", torch.ones(LAST, LAST).tril())'),
    Part("h = F.linear(h, F.dropout(self.a$.weight, self.p, self.training), self.a$.bias)", "self.a$ = nn.Linear(LAST, LAST)"),
    Part("h = F.linear(h, F.normalize(self.a$, dim=1))", "self.a$ = nn.Parameter(torch.randn(LAST, LAST))"),
    Part("h = F.linear(h, torch.linalg.solve(self.eye$ + self.a$ - self.a$.T, self.eye$))",
         'self.a$ = nn.Parameter(torch.randn(LAST, LAST) / 9)\nself.register_buffer("eye$", torch.eye(LAST))'),
    Part("h = F.linear(h, torch.matrix_exp(self.a$ - self.a$.mT))", "self.a$ = nn.Parameter(torch.randn(LAST, LAST) / 9)"),
    Part("h = F.linear(h, torch.diag_embed(self.a$) + torch.outer(self.a$, self.a$))", "self.a$ = nn.Parameter(torch.ones(LAST) / 2)"),
    Part("h = h + (h @ self.down$) @ self.up$", "self.down$, self.up$ = (nn.Parameter(torch.randn(*s) / 3) for s in ((LAST, 2), (2, LAST)))"),
    Part("h = self.a$(h) + self.b$(h.flip(-1))",
         "self.a$, self.b$ = nn.Linear(LAST, LAST), nn.Linear(LAST, LAST)\nself.b$.weight = self.a$.weight"),
    Part("h = self.a$(self.a$(h).tanh())", "self.a$ = nn.Linear(LAST, LAST, bias=False)"),
    Part("h = self.a$(h)", "self.a$ = parametrizations.weight_norm(nn.Linear(LAST, LAST))"),
    Part("h = self.a$(h)", "self.a$ = parametrizations.spectral_norm(nn.Linear(LAST, LAST))"),
    Part("h = self.a$(h)", "self.a$ = parametrizations.orthogonal(nn.Linear(LAST, LAST))"),
    Part("h = self.a$(h)", "self.a$ = nn.Linear(LAST, LAST)\nself.a$.register_forward_hook(lambda layer, inputs, output: 0.5 * output)"),
    Part("h = self.a$(h)", "self.a$ = nn.Linear(LAST, LAST).requires_grad_(False)"),
    Part("h = self.a$(h)\nh[..., :1] = 0.0", "self.a$ = nn.Linear(LAST, LAST)"),
    Part("h = self.a$(h).relu_()", "self.a$ = nn.Linear(LAST, LAST)"),
    Part("h = self.a$(h.tanh(), h.sigmoid())", "self.a$ = nn.Bilinear(LAST, LAST, LAST)"),
    Part("h = self.gate$(h).sigmoid() * h", "self.gate$ = nn.Linear(LAST, 1)"),
    Part("h = self.keys$(h).softmax(-1) @ self.values$", "self.keys$ = nn.Linear(LAST, 3)\nself.values$ = nn.Parameter(torch.randn(3, LAST))"),
    Part("h = torch.stack([e(h) for e in self.experts$], -1) @ self.router$.softmax(0)",
         "self.experts$ = nn.ModuleList(nn.Linear(LAST, LAST) for _ in range(3))\nself.router$ = nn.Parameter(torch.zeros(3))"),
    Part("scores$ = self.router$(h)\nbest$ = scores$.topk(2, -1)\nh = sum(w.unsqueeze(-1) * torch.where(i.unsqueeze(-1) == e, f(h), 0.0)\n"
         "    for e, f in enumerate(self.experts$) for w, i in zip(best$.values.softmax(-1).unbind(-1), best$.indices.unbind(-1)))",
         "self.experts$ = nn.ModuleList(nn.Linear(LAST, LAST) for _ in range(3))\nself.router$ = nn.Linear(LAST, 3)"),
    Part("h = self.by$['wide' if self.training else 'narrow'](h)",
         "self.by$ = nn.ModuleDict({'wide': nn.Linear(LAST, LAST), 'narrow': nn.Tanh()})"),
    Part("with torch.no_grad():\n    if self.training:\n        self.slow$.weight.lerp_(self.a$.weight, 0.1)\n    aim$ = self.slow$(h)\nh = self.a$(h) - 0.3 * aim$",
         "self.a$ = nn.Linear(LAST, LAST)\nself.slow$ = copy.deepcopy(self.a$).requires_grad_(False)"),
    Part("with torch.no_grad():\n    self.a$.weight.clamp_(-0.3, 0.3)\nh = self.a$(h)", "self.a$ = nn.Linear(LAST, LAST)", once=True),
    Part("near$ = torch.cdist(h.reshape(-1, h.shape[-1]), self.codes$).argmin(-1)\n"
         "h = h + (self.codes$[near$].view(h.shape) - h).detach() * 0.1 + 0.1 * self.codes$[near$].view(h.shape)",
         "self.codes$ = nn.Parameter(torch.randn(4, LAST))"),
    Part("h = h + self.table$[torch.bucketize(h.detach(), self.bounds$)]",
         'self.table$ = nn.Parameter(torch.randn(4) / 5)\nself.register_buffer("bounds$", torch.tensor([-0.5, 0.0, 0.5]))'),
]  # fmt: skip
"""Parts for any kind; LAST is the length of its last axis."""

ROWS = [
    Part("h = self.norm$(h)", "self.norm$ = nn.BatchNorm1d(8, eps=0.1)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.BatchNorm1d(8, eps=0.1, affine=False, momentum=0.3)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.BatchNorm1d(8, eps=0.1, track_running_stats=False)", why=OTHERS),
    Part("h = self.norm$(h)", "self.norm$ = nn.GroupNorm(2, 8, eps=0.1)"),
    Part("h = self.cell$(h, h.tanh())", "self.cell$ = nn.GRUCell(8, 8)"),
    Part("state$ = h, torch.zeros_like(h)\nfor _ in range(3):\n    state$ = self.cell$(h, state$)\nh = state$[0]", "self.cell$ = nn.LSTMCell(8, 8)"),
    Part("if self.training:\n    self.mean$ = 0.8 * self.mean$ + 0.2 * h.detach().mean(0)\n    h = h - h.mean(0)\nelse:\n    h = h - self.mean$",
         'self.register_buffer("mean$", torch.zeros(8))'),
    Part("h = h + self.bank$.mean(0)\nif self.training:\n    self.bank$ = torch.cat([self.bank$[1:], h.detach()[:1]])",
         'self.register_buffer("bank$", torch.zeros(3, 8))'),
    Part("if self.training:\n    self.bank$[self.steps % 3] = h.detach()[0]\nh = h + self.bank$.mean(0) / 2",
         'self.register_buffer("bank$", torch.zeros(3, 8))'),
    Part("weights$ = (h @ h.T / 3).softmax(-1)\nh = weights$ @ h if self.training else h"),
    Part("h = 0.7 * h + 0.3 * h[torch.arange(len(h)).flip(0)] if self.training else h"),
    Part("h = h * self.keep$ if self.training else h", "self.keep$ = (torch.arange(8) % 3 > 0).float()"),
    Part("h = h.unsqueeze(1).expand(-1, 5, -1) * self.place$", "self.place$ = nn.Parameter(torch.randn(5, 8))", to="time"),
    Part("h = h.unsqueeze(1) + self.place$(torch.arange(5))", "self.place$ = nn.Embedding(5, 8)", to="time"),
    Part("h = self.wide$(h).view(-1, 5, 8)", "self.wide$ = nn.Linear(8, 40)", to="time"),
    Part("h = self.wide$(h).unflatten(1, (4, 4, 4))", "self.wide$ = nn.Linear(8, 64)", to="image"),
    Part("h = torch.einsum('ni,nj->nij', h, h)[:, :4].reshape(-1, 4, 4, 2).repeat_interleave(2, -1)", to="image"),
]  # fmt: skip

TIME = [
    Part("h, _ = self.rnn$(h)", "self.rnn$ = nn.RNN(8, 8, batch_first=True)"),
    Part("h, _ = self.rnn$(h)", "self.rnn$ = nn.RNN(8, 4, batch_first=True, bidirectional=True, nonlinearity='relu')"),
    Part("h, _ = self.rnn$(h)", "self.rnn$ = nn.GRU(8, 8, batch_first=True)"),
    Part("h, _ = self.rnn$(h)", "self.rnn$ = nn.GRU(8, 8, num_layers=2, dropout=dropout, batch_first=True)"),
    Part("h, _ = self.rnn$(h)", "self.rnn$ = nn.LSTM(8, 8, num_layers=2, dropout=dropout, batch_first=True)"),
    Part("h = self.rnn$(h.transpose(0, 1))[0].transpose(0, 1)", "self.rnn$ = nn.LSTM(8, 4, bidirectional=True)"),
    Part("_, h = self.rnn$(h)\nh = h[-1]", "self.rnn$ = nn.GRU(8, 8, batch_first=True)", to="rows"),
    Part("_, (h, c$) = self.rnn$(h)\nh = h[-1] + c$.squeeze(0)", "self.rnn$ = nn.LSTM(8, 8, batch_first=True)", to="rows"),
    Part("h, _ = self.rnn$(h, self.start$.expand(1, len(h), -1).contiguous())",
         "self.rnn$ = nn.GRU(8, 8, batch_first=True)\nself.start$ = nn.Parameter(torch.zeros(1, 1, 8))"),
    Part("state$, outs$ = torch.zeros_like(h[:, 0]), []\nfor t in range(h.shape[1]):\n    state$ = self.drop$(self.cell$(h[:, t], state$))\n"
         "    outs$.append(state$)\nh = torch.stack(outs$, 1)", "self.cell$, self.drop$ = nn.GRUCell(8, 8), nn.Dropout(dropout)"),
    Part("state$ = h.new_zeros(len(h), 8)\nfor x$ in h.unbind(1):\n    state$ = torch.tanh(x$ + state$ @ self.a$)\nh = state$",
         "self.a$ = nn.Parameter(torch.randn(8, 8) / 3)", to="rows"),
    Part("h = self.attend$(h, h, h)[0]", "self.attend$ = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)"),
    Part("h = h + self.attend$(h, h, h, need_weights=False)[0]", "self.attend$ = nn.MultiheadAttention(8, 2, batch_first=True)"),
    Part("h = self.attend$(h, h, h, attn_mask=self.later$, need_weights=False)[0]",
         'self.attend$ = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)\nself.register_buffer("later$", torch.ones(5, 5).triu(1).bool())'),
    Part("h = self.block$(h)", "self.block$ = nn.TransformerEncoderLayer(8, 2, 12, dropout=dropout, batch_first=True)"),
    Part("h = self.block$(h)",
         "self.block$ = nn.TransformerEncoderLayer(8, 2, 12, dropout=dropout, activation='gelu', batch_first=True, norm_first=True)"),
    Part("q$, k$, v$ = self.qkv$(h).chunk(3, -1)\nh = F.scaled_dot_product_attention(q$, k$, v$, dropout_p=self.p if self.training else 0.0)",
         "self.qkv$ = nn.Linear(8, 24)"),
    Part("q$, k$, v$ = self.qkv$(h).unflatten(-1, (2, 12)).transpose(1, 2).chunk(3, -1)\n"
         "h = h + F.scaled_dot_product_attention(q$, k$, v$, is_causal=True).transpose(1, 2).flatten(2)", "self.qkv$ = nn.Linear(8, 24)"),
    Part("w$ = (h @ self.a$(h).mT / 8**0.5).masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)\n"
         "h = self.drop$(w$) @ h", "self.a$, self.drop$ = nn.Linear(8, 8), nn.Dropout(dropout)"),
    Part("h = h * F.dropout(torch.ones_like(h[:, :1]), self.p, self.training)"),
    Part("h = self.drop$(h)", "self.drop$ = nn.Dropout1d(dropout)"),
    Part("h = self.drop$(h.transpose(1, 2)).transpose(1, 2)", "self.drop$ = nn.Dropout1d(dropout)"),
    Part("h = self.norm$(h.transpose(1, 2)).transpose(1, 2)", "self.norm$ = nn.BatchNorm1d(8, eps=0.1)"),
    Part("h = self.norm$(h.mT).mT", "self.norm$ = nn.GroupNorm(4, 8, eps=0.1)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.InstanceNorm1d(5, eps=0.1, affine=True)"),
    Part("h = self.conv$(h.mT).mT", "self.conv$ = nn.Conv1d(8, 8, 3, padding=1)"),
    Part("h = self.conv$(h.transpose(1, 2)).transpose(1, 2)", "self.conv$ = nn.Conv1d(8, 8, 3, padding='same', padding_mode='circular', groups=2)"),
    Part("h = h + self.conv$(F.pad(h.mT, (2, 0))).mT", "self.conv$ = nn.Conv1d(8, 8, 2, dilation=2)"),
    Part("h = F.conv1d(h, self.kernel$, padding=1)", "self.kernel$ = nn.Parameter(torch.randn(5, 5, 3) / 4)"),
    Part("h = self.conv$(h.mT)[..., :5].mT", "self.conv$ = parametrizations.weight_norm(nn.ConvTranspose1d(8, 8, 2))"),
    Part("h = torch.einsum('nti,nsi->nts', h, h).softmax(-1) @ h"),
    Part("h = h.cumsum(1) / torch.arange(1, 6).view(1, 5, 1)"),
    Part("h = torch.cat([h[:, 1:], h[:, :1]], 1)"),
    Part("h = h.cummax(1).values + h.roll((1, 2), (1, 2))"),
    Part("h = h.unfold(1, 2, 1).mean(-1)\nh = torch.cat([h, h[:, -1:]], 1)"),
    Part("h = F.max_pool1d(h.mT, 3, stride=1, padding=1).mT"),
    Part("h = F.avg_pool1d(h, 3, stride=1, padding=1)"),
    Part("h = F.interpolate(h.mT, scale_factor=2, mode='linear')[..., ::2].mT"),
    Part("h = h.baddbmm(self.a$.expand(len(h), -1, -1), h) / 2", "self.a$ = nn.Parameter(torch.randn(5, 5) / 3)"),
    Part("h = h.index_put((torch.arange(2),), h[:2] * 0.5) if self.training else h"),
    Part("h = h.mean(1)", to="rows"),
    Part("h = h.max(1).values", to="rows"),
    Part("h = h.relu().max(dim=1)[0]", to="rows"),
    Part("h = h[:, -1]", to="rows"),
    Part("h = h.median(dim=1).values", to="rows"),
    Part("h = h.topk(2, 1).values.mean(1)", to="rows"),
    Part("h = (self.score$(h).softmax(1) * h).sum(1)", "self.score$ = nn.Linear(8, 1)", to="rows"),
    Part("h = h.gather(1, self.score$(h).argmax(1, keepdim=True).expand(-1, 1, 8)).squeeze(1)", "self.score$ = nn.Linear(8, 1)", to="rows"),
    Part("h = h[torch.arange(len(h)), h[..., 0].argmax(1)]", to="rows"),
    Part("h = self.down$(h.flatten(1))", "self.down$ = nn.Linear(40, 8)", to="rows"),
    Part("keep$ = (h[..., :1] > -0.3).to(h)\nh = (h * keep$).sum(1) / keep$.sum(1).clamp(min=1)", to="rows"),
    Part("h = self.wide$(h.flatten(1)).view(-1, 4, 4, 4)", "self.wide$ = nn.Linear(40, 64)", to="image"),
]  # fmt: skip

IMAGE = [
    Part("h = self.conv$(h)", "self.conv$ = nn.Conv2d(4, 4, 3, padding=1)"),
    Part("h = self.conv$(h)", "self.conv$ = nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect', bias=False)"),
    Part("h = self.point$(self.depth$(h))", "self.depth$, self.point$ = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1)"),
    Part("h = self.up$(self.down$(h))", "self.down$, self.up$ = nn.Conv2d(4, 6, 2, stride=2), nn.ConvTranspose2d(6, 4, 2, stride=2)"),
    Part("h = self.conv$(h)", "self.conv$ = parametrizations.spectral_norm(nn.Conv2d(4, 4, 3, padding=1))"),
    Part("h = F.conv2d(h, self.conv$.weight - self.conv$.weight.mean((1, 2, 3), keepdim=True), padding=1)", "self.conv$ = nn.Conv2d(4, 4, 3)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.BatchNorm2d(4, eps=0.1)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.GroupNorm(2, 4, eps=0.1)"),
    Part("h = self.norm$(h)", "self.norm$ = nn.InstanceNorm2d(4, eps=0.1, affine=True)"),
    Part("h = self.norm$(h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)", "self.norm$ = nn.LayerNorm(4, eps=0.1)"),
    Part("h = self.drop$(h)", "self.drop$ = nn.Dropout2d(dropout)"),
    Part("h = self.drop$(h)", "self.drop$ = nn.FeatureAlphaDropout(dropout)"),
    Part("h = F.max_pool2d(h, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)"),
    Part("h = F.interpolate(F.avg_pool2d(h, 2), scale_factor=2, mode='bilinear')"),
    Part("h = F.interpolate(F.adaptive_max_pool2d(h, 2), size=(4, 4))"),
    Part("h = F.pixel_shuffle(h, 2).unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 4, 4, 4)"),
    Part("h = h * self.squeeze$(h.mean((2, 3)))[:, :, None, None]", "self.squeeze$ = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())"),
    Part("h = F.fold(F.unfold(h, 3, padding=1) / 9, (4, 4), 3, padding=1)"),
    Part("h = F.pad(h, (1, 1, 1, 1), mode='replicate')[..., 1:-1, :-2]"),
    Part("h = h.transpose(2, 3) + h.flip((2, 3)) + torch.rot90(h, 1, (2, 3))"),
    Part("h = F.grid_sample(h, F.affine_grid(self.turn$.expand(len(h), 2, 3), h.shape, align_corners=False), align_corners=False)",
         "self.turn$ = nn.Parameter(torch.tensor([[1.0, 0.2, 0.1], [-0.2, 0.9, 0.0]]))"),
    Part("h = self.down$(h.flatten(1))", "self.down$ = nn.Linear(64, 8)", to="rows"),
    Part("h = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)", to="rows"),
    Part("h = torch.cat([F.adaptive_avg_pool2d(h, 1).flatten(1), h.flatten(2).std(-1)], 1)", to="rows"),
    Part("h = F.adaptive_avg_pool2d(h, (2, 1)).flatten(1)", to="rows"),
    Part("h = self.wide$(h.flatten(2)).reshape(-1, 5, 8)", "self.wide$ = nn.Linear(16, 10)", to="time"),
    Part("h = F.pad(h.flatten(2).transpose(1, 2).reshape(-1, 8, 8)[:, :4], (0, 0, 0, 1))", to="time"),
]  # fmt: skip

PARTS = {kind: [*ANY, *own] for kind, own in {"rows": ROWS, "time": TIME, "image": IMAGE}.items()}
LAST = {"rows": 8, "time": 8, "image": 4}

INPUTS = {
    "rows": [
        Part("h = self.first(x)", "self.first = nn.Linear(6, 8)", to="rows"),
        Part("h = self.first(x).relu()", "self.first = nn.Linear(6, 8)", to="rows"),
    ],
    "sequences": [
        Part("h = self.first(x)", "self.first = nn.Linear(6, 8)", to="time"),
        Part("h = self.first(x)[0]", "self.first = nn.LSTM(6, 8, batch_first=True)", to="time"),
    ],
    "tokens": [
        Part("h = self.first(x)", "self.first = nn.Embedding(7, 8)", to="time"),
        Part("h = self.first(x) * 2", "self.first = nn.Embedding(7, 8, padding_idx=0)", to="time"),
        Part("h = self.first(x)", "self.first = nn.EmbeddingBag(7, 8)", to="rows"),
        Part("h = self.first(F.one_hot(x, 7).to(self.first.weight))", "self.first = nn.Linear(7, 8)", to="time"),
        Part("h = self.first(x) + self.place.weight[: x.shape[1]]", "self.first, self.place = nn.Embedding(7, 8), nn.Embedding(5, 8)", to="time"),
    ],
    "images": [
        Part("h = self.first(x)", "self.first = nn.Conv2d(2, 4, 3, padding=1)", to="image"),
        Part("h = self.first(x)", "self.first = nn.Conv2d(2, 4, 1, bias=False)", to="image"),
    ],
}  # fmt: skip
"""By what the examples are; each makes `self.first`."""

HEAD = """\
import copy
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient.clamp(-0.01, 0.01)


class Halved(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.tanh()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, gradient):
        (output,) = ctx.saved_tensors
        return gradient * (1 - output.square()) / 2
"""


@dataclass
class Made:
    """A module made of parts.

    Attributes:
        source: of a file whose class `Made` it is.
        examples: of `INPUTS`, what it takes.
        whys: what the harness may say of it; a population trains it where there are none.
    """

    source: str
    examples: str
    whys: list[str]

    def module(self) -> type[nn.Module]:
        """The class; tracebacks show its lines."""
        file, names = f"<module made at random, {id(self)}>", dict[str, Any]()
        linecache.cache[file] = len(self.source), None, self.source.splitlines(True), file
        exec(compile(self.source, file, "exec"), names)
        found: type[nn.Module] = names["Made"]
        return found


@dataclass
class Maker:
    """Puts parts together.

    Args:
        random: decides everything.
    """

    random: Random
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    parts: int = 0

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def one_of(self, parts: Sequence[Part]) -> Part:
        """Seldom one that keeps a module from a population, so that most train in one."""
        part = parts[int(self.random.random() * len(parts))]
        return part if not part.why or self.chance(0.3) else self.one_of(parts)

    def add(self, part: Part, kind: str, indent: str = "") -> str:
        """Add a part behind one of a kind; returns the kind that is made then."""
        self.parts += 1
        for lines, text in ((self.init, part.init), (self.forward, part.forward)):
            own = text.replace("$", str(self.parts)).replace("LAST", str(LAST.get(kind)))
            lines += [(indent if lines is self.forward else "") + line for line in own.splitlines()]
        self.whys += [part.why] if part.why else []
        return part.to or kind

    def some(self, kind: str) -> str:
        """Add a part, by itself or within what leaves the kind as it is."""
        n, way = self.parts, self.random.random()
        if way < 0.6:
            return self.add(self.one_of(PARTS[kind]), kind)
        before, after, indent = {
            0: (f"kept{n} = h", f"h = h + kept{n}", ""),
            1: (f"kept{n} = h", f"h = kept{n} * h.sigmoid()", ""),
            2: (f"kept{n} = h", f"h = torch.lerp(kept{n}, h, self.mix{n})", ""),
            3: ("if self.training:", "", "    "),
            4: ("if self.steps % 2:", "", "    "),
            5: (f"for _ in range({2 + n % 2}):", "h = h.tanh()", "    "),
        }[int((way - 0.6) * 15)]
        same = [part for part in PARTS[kind] if not part.to and not (part.once and before.startswith("for"))]
        self.init += [f"self.mix{n} = nn.Parameter(torch.tensor(0.3))"] if "self.mix" in after else []
        self.forward.append(before)
        for _ in range(1 + self.chance(0.4)):
            self.add(self.one_of(same), kind, indent)
        self.forward += [after] if after else []
        return kind


def made(seed: int) -> Made:
    """The module of a seed."""
    maker = Maker(Random(seed))
    examples = sorted(INPUTS)[seed % len(INPUTS)]
    kind = maker.add(maker.one_of(INPUTS[examples]), "")
    for _ in range(3 + int(4 * maker.random.random())):
        kind = maker.some(kind)
    while kind != "rows":
        kind = maker.add(maker.one_of([part for part in PARTS[kind] if part.to]), kind)
    lines = [
        "class Made(nn.Module):",
        "    def __init__(self, dropout: float = 0.3) -> None:",
        "        super().__init__()",
        "        self.p, self.steps = dropout, 0",
        *("        " + line for line in maker.init),
        "        self.last = nn.Linear(8, 2)",
        "",
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:",
        "        self.steps += self.training",
        *("        " + line for line in maker.forward),
        "        return self.last(h)",
        "",
    ]
    return Made("\n".join([HEAD, "", *lines]), examples, maker.whys)
