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


def bilinear(grid, h, w):
    """Rows (h0, w0, D) brought to another grid, position by position, each scaled to unit length."""
    out = torch.zeros(h, w, grid.shape[-1])
    for i in range(h):
        for j in range(w):
            cell = torch.zeros(grid.shape[-1])
            for row, share_i in _neighbours(i, h, grid.shape[0]):
                for column, share_j in _neighbours(j, w, grid.shape[1]):
                    cell += share_i * share_j * grid[row, column]
            out[i, j] = cell / math.sqrt(dot(cell, cell))
    return out


def _neighbours(i, size, old):
    """The two old positions around the middle of new cell i, with their shares; beyond the edge, the edge.

    If the old grid is more than twice as fine, all old positions that cell i touches, in equal parts.
    """
    if old > 2 * size:
        touched = range(i * old // size, math.ceil((i + 1) * old / size))
        return [(k, 1 / len(touched)) for k in touched]
    at = min(max((i + 0.5) * old / size - 0.5, 0), old - 1)
    low = math.floor(at)
    return [(low, 1 - (at - low)), (min(low + 1, old - 1), at - low)]


def place_losses(s, t, picks, tsb, queue, weight=0.75, tau_s=0.05, tau_t=0.0125, tau_q=0.01):
    """H over names and H over a queue of places with the self logit, averaged over the picked places."""
    names = latest = 0.0
    _, h, w, _ = t.shape
    for pick in picks:
        image, row, column = int(pick) // (h * w), int(pick) // w % h, int(pick) % w
        tp = t[image, row, column]
        sp = bilinear(s[image], h, w)[row, column]
        names += cross_entropy([dot(tp, b) / tau_t for b in tsb], [dot(sp, b) / tau_s for b in tsb])
        entries = [*queue, tp]
        latest += cross_entropy([dot(tp, b) / tau_q for b in entries], [dot(sp, b) / tau_s for b in entries])
    return weight * names / len(picks), latest / len(picks)


def regression(s, t, share=0.1):
    """(1 - share) of 1 - cosine and share of the smooth L1 distance, at components of about unit size."""
    total = 0.0
    for si, ti in zip(s, t):
        d, smooth = len(si), 0.0
        for a, b in zip(si, ti):
            gap = abs(float(a) - float(b)) * math.sqrt(d)
            smooth += 0.5 * gap**2 if gap < 1 else gap - 0.5
        total += (1 - share) * (1 - dot(si, ti)) + share * smooth / d
    return total / len(s)


def similarity(s, t, tau=0.07):
    """KL of each place's similarities to all places of its image, averaged over places and images."""
    total, count = 0.0, 0
    for si, ti in zip(s, t):
        for sp, tp in zip(si, ti):
            p = softmax([dot(tp, other) / tau for other in ti])
            log_p = log_softmax([dot(tp, other) / tau for other in ti])
            log_q = log_softmax([dot(sp, other) / tau for other in si])
            total += sum(a * (b - c) for a, b, c in zip(p, log_p, log_q))
            count += 1
    return total / count
