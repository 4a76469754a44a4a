"""Teachers: frozen image and text towers in one joint space."""

from .base import BaseTeacher, TeacherError
from .conse import ConSETeacher
from .openclip import OpenCLIPTeacher
from .pair import TeacherPair
from .radio import RADIOTeacher
from .tips import TIPSTeacher

__all__ = [
    'BaseTeacher',
    'ConSETeacher',
    'OpenCLIPTeacher',
    'RADIOTeacher',
    'TIPSTeacher',
    'TeacherError',
    'TeacherPair',
]
