"""Other actor libraries, each in a process of its own that does what it is told on standard input.

``tell 1000`` sends so many notes to an actor in the same process and answers with how many it has handled;
``ask 1000`` asks so many questions, up to 64 at a time, and answers with how many came back right. These modules import
nothing of Callboard: each runs where only its library is installed.
"""
