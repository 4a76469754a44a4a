"""The published step, written out loop by loop from its formulas: slow, and independent of the package."""

import math

import torch


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b))


def softmax(logits):
    top = max(logits)
    exp = [math.exp(x - top) for x in logits]
    return [x / sum(exp) for x in exp]


def log_softmax(logits):
    top = max(logits)
    log_sum = math.log(sum(math.exp(x - top) for x in logits))
    return [x - top - log_sum for x in logits]


def cross_entropy(teacher_logits, student_logits):
    return -sum(p * log_q for p, log_q in zip(softmax(teacher_logits), log_softmax(student_logits)))


def lgd_losses(s, t, tsb, vsb, tau_s=0.2, tau_t=0.01, alpha=0.5, self_logit=True, rows=None):
    """L_VIS and L_TEX of a batch; ``rows`` are the rows of the visual bank that count."""
    rows = range(len(vsb)) if rows is None else rows
    visual = textual = 0.0
    for si, ti in zip(s, t):
        textual += cross_entropy([dot(ti, w) / tau_t for w in tsb], [dot(si, w) / tau_s for w in tsb])
        teacher_logits = [dot(ti, vsb[k]) / tau_t for k in rows]
        student_logits = [dot(si, vsb[k]) / tau_s for k in rows]
        if self_logit:
            teacher_logits.append(1 / tau_t)
            student_logits.append(dot(si, ti) / tau_s)
        visual += cross_entropy(teacher_logits, student_logits)
    return alpha * visual / len(s), (1 - alpha) * textual / len(s)


def lgka(bank, visited, t, tsb, momentum=0.999):
    """The bank and the visited flags after a step, class by class."""
    bank, visited = bank.clone().double(), list(visited)
    nearest = [max(range(len(tsb)), key=lambda k: dot(ti, tsb[k])) for ti in t]
    for k in range(len(tsb)):
        members = [t[i].double() for i in range(len(t)) if nearest[i] == k]
        if members:
            mean = torch.stack(members).mean(0)
            bank[k] = momentum * bank[k] + (1 - momentum) * mean if visited[k] else mean
            visited[k] = True
    return bank, visited


def enqueue(bank, visited, pointer, t):
    """The queue, its flags and its pointer after a step, image by image."""
    bank, visited = bank.clone(), list(visited)
    for ti in t:
        bank[pointer] = ti
        visited[pointer] = True
        pointer = (pointer + 1) % len(bank)
    return bank, visited, pointer


def seed_loss(s, t, queue, tau_s, tau_t):
    """SEED's loss of a batch: the image's own teacher embedding, then the queue."""
    loss = 0.0
    for si, ti in zip(s, t):
        entries = [ti, *queue]
        loss += cross_entropy([dot(ti, w) / tau_t for w in entries], [dot(si, w) / tau_s for w in entries])
    return loss / len(s)
