"""The published step in plain PyTorch, after the paper and its code, as the baseline.

It has a loop over classes that waits for the device for each class, float16 autocast with loss scaling, NCHW memory,
attention pooling for all tokens, and losses that divide half-precision similarities by the temperatures.
"""

import copy

import open_clip
import torch
import torch.nn.functional as F
from mmpretrain.models import ResNet
from torch import Tensor, nn


def lgka(bank: Tensor, visited: Tensor, t: Tensor, tsb: Tensor, momentum: float = 0.999) -> None:
    """Update the visual bank class by class, in place.

    Args:
        bank (Tensor): (K, D).
        visited (Tensor): (K,) bool.
        t (Tensor): (N, D), teacher embeddings, unit rows.
        tsb (Tensor): (K, D), unit rows.
        momentum (float): Weight of the old value. Defaults to 0.999.
    """
    pseudo_class = (t @ tsb.T).argmax(dim=1)
    for k in range(len(bank)):
        members = t[pseudo_class == k]
        if len(members) == 0:
            continue
        mean = members.mean(dim=0)
        bank[k] = momentum * bank[k] + (1 - momentum) * mean if visited[k] else mean
        visited[k] = True


def losses(s: Tensor, t: Tensor, tsb: Tensor, vsb: Tensor, tau_s: float = 0.2, tau_t: float = 0.01) -> Tensor:
    """Compute both losses, each with weight 1/2, in the precision of the inputs.

    Args:
        s (Tensor): (N, D), student embeddings, unit rows.
        t (Tensor): (N, D), teacher embeddings, unit rows.
        tsb (Tensor): (K, D), textual bank.
        vsb (Tensor): (K, D), visual bank.
        tau_s (float): Student's temperature. Defaults to 0.2.
        tau_t (float): Teacher's temperature. Defaults to 0.01.

    Returns:
        Tensor: A scalar.
    """
    student_textual, teacher_textual = s @ tsb.T, t @ tsb.T
    student_visual = torch.cat([s @ vsb.T, (s * t).sum(-1, keepdim=True)], dim=1)
    teacher_visual = torch.cat([t @ vsb.T, (t * t).sum(-1, keepdim=True)], dim=1)
    total = 0
    for student, teacher in ((student_visual, teacher_visual), (student_textual, teacher_textual)):
        target = F.softmax(teacher / tau_t, dim=1)
        total = total - 0.5 * (target * F.log_softmax(student / tau_s, dim=1)).sum(dim=1).mean()
    return total


class PublishedStep:
    """The published training step.

    Args:
        clip (nn.Module): open_clip's model with the teacher's image tower.
        tsb (Tensor): (K, D), unit rows.
        device (str): The device, as for torch.

    Attributes:
        teacher (nn.Module): open_clip's image tower, unchanged.
    """

    def __init__(self, clip: nn.Module, tsb: Tensor, device: str):
        dim = tsb.shape[1]
        self.device = device
        self.teacher = copy.deepcopy(clip.visual).eval().to(device)
        self.student = ResNet(18).to(device)
        self.student.train()  # returns nothing
        self.neck = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, dim)
        ).to(device)
        self.tsb = tsb.to(device)
        self.vsb = F.normalize(torch.randn_like(self.tsb), dim=1)
        self.visited = torch.zeros(len(tsb), dtype=torch.bool, device=device)
        parameters = [*self.student.parameters(), *self.neck.parameters()]
        self.optimizer = torch.optim.SGD(parameters, 0.0, momentum=0.9, weight_decay=1e-4)  # 0: see ours.py
        on_gpu = device.startswith('cuda')
        self.scaler = torch.amp.GradScaler(enabled=on_gpu)
        # Half precision only on GPUs: on a CPU both steps are float32.
        self.autocast = torch.autocast(
            device.split(':')[0], torch.float16 if on_gpu else torch.bfloat16, enabled=on_gpu
        )

    def encode(self, images: Tensor) -> Tensor:
        """Embed images with the teacher, (N, 3, H, W) to (N, D) unit rows."""
        with torch.no_grad(), self.autocast:
            return F.normalize(self.teacher(images), dim=1)

    def __call__(self, images: Tensor) -> None:
        """Make a step on (N, 3, H, W) normalised images."""
        t = self.encode(images)
        with self.autocast:
            s = F.normalize(self.neck(self.student(images)[-1]), dim=1)
            loss = losses(s, t, self.tsb, self.vsb.clone())
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        lgka(self.vsb, self.visited, t.float(), self.tsb)


def clip_of(name: str) -> nn.Module:
    """Build an open_clip model with random weights: speed does not depend on them."""
    return open_clip.create_model(name)
