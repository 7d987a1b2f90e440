from .diagnostics import Diagnostics
from .models import Model
from .settings import InvalidStudy, Sweep, Tune
from .study import Claim, Exact, Study

__all__ = ["Claim", "Diagnostics", "Exact", "InvalidStudy", "Model", "Study", "Sweep", "Tune"]
