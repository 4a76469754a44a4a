"""Teachers: frozen image and text towers in one joint space."""

from .base import BaseTeacher
from .conse import ConSETeacher
from .openclip import OpenCLIPTeacher

__all__ = ['BaseTeacher', 'ConSETeacher', 'OpenCLIPTeacher']
