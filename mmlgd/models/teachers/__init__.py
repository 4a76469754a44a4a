"""Teachers: frozen image and text towers in one joint space."""

from .base import BaseTeacher, TeacherError
from .conse import ConSETeacher
from .openclip import OpenCLIPTeacher
from .stored import StoredTeacher

__all__ = ['BaseTeacher', 'ConSETeacher', 'OpenCLIPTeacher', 'StoredTeacher', 'TeacherError']
