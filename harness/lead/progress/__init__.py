"""How far a study is, and how long the rest takes."""
