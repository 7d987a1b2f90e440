"""Studies of which the truth is known, through the code that makes verdicts: how often it errs."""
