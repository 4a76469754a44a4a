"""Teachers: frozen image and text towers in one joint space."""

from .base import BaseTeacher, TeacherError
from .conse import ConSETeacher
from .openclip import OpenCLIPTeacher
from .pair import TeacherPair

__all__ = ['BaseTeacher', 'ConSETeacher', 'OpenCLIPTeacher', 'TeacherError', 'TeacherPair']
