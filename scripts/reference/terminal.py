"""Talks to lm-sample as a person at a terminal would, for scripts/check-habits.sh.

    terminal.py LM_SAMPLE RUN
"""

import os
import pty
import re
import select
import signal
import sys
import termios
import time

program, run = sys.argv[1:]
os.environ["TERM"] = "xterm"


class Session:
    """A program on a pseudo-terminal, and everything it has written there."""

    def __init__(self, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Whoever started this in the background had it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execv(program, [program, "--checkpoint", run, *arguments])
        self.text = ""
        self.errors = "strict"

    def read(self, seconds):
        """Whether anything came, or the end."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self.terminal, 1 << 16)
        except OSError:  # closed at the other end
            part = b""
        # Whole characters only are written, so that every part can be decoded by itself.
        self.text += part.decode("utf-8", self.errors)
        return bool(part)

    def until(self, pattern, seconds=30):
        """Reads on until the text since the last call matches; returns that text."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            if time.monotonic() > end:
                fail(f"no {pattern!r} within {seconds} s after {self.text!r}")
            self.read(0.2)
        seen, self.text = self.text[: found.end()], self.text[found.end():]
        return seen

    def type(self, text):
        os.write(self.terminal, text.encode())

    def echoes(self):
        """Whether the terminal shows what is typed, as it does outside the editor."""
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def ended(self):
        """The exit code; negative for a signal."""
        while self.read(10):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fail(problem):
    sys.exit("terminal.py: FAILED: " + problem)


def check(condition, problem):
    if not condition:
        fail(problem)


PROMPT = r"\r\n> $"

# A prompt, its answer, the same prompt again with another answer, Ctrl-D.
session = Session("--temperature", "2", "--max-tokens", "400")
session.until(r"Ctrl-D leaves\.\r\n> ")
session.type("the king\n")
session.until("the king\r\n")  # the terminal's echo
first = session.until(PROMPT)
check(first.startswith("the king"), f"answered {first!r}")
session.type("the king\n")
session.until("the king\r\n")
check(session.until(PROMPT) != first, "the same prompt has the same answer")
# An empty line samples a whole sentence.
session.type("\n")
session.until("\r\n")
session.until(PROMPT)
# A mistake is told, and the conversation goes on.
session.type("the king " * 400 + "\n")
session.until("shorten it\r\n> ")
# Ctrl-C at the prompt forgets what was typed.
session.type("no such")
session.until("no such")
session.type("\x03")
session.until("\r\n> ")
# However early it comes: none is lost between the prompt and the wait for what is typed.
for _ in range(50):
    session.type("\x03")
    session.until("\r\n> ")
session.type("a stranger\n")
session.until("a stranger\r\n")
check(session.until(PROMPT).startswith("a stranger"), "what Ctrl-C forgot was answered")
# The line is edited: arrows, Home and End, as one terminal or another sends them; words are cut.
LEFT, HOME, END, UP, DOWN = "\x1b[D", "\x1b[H", "\x1bOF", "\x1b[A", "\x1bOB"
session.type("kng" + LEFT + LEFT + "i" + HOME + "the " + END + " sawn\x7f" + " x y\x17\x17" + "\n")
check(session.until(PROMPT).split("\r\n")[1].startswith("the king saw"), "the line was not edited")
# Earlier lines come back, and what was being typed.
session.type("stran" + UP + UP + DOWN + DOWN + "ger\n")
check(session.until(PROMPT).split("\r\n")[1].startswith("stranger"), "the line was lost")
session.type(UP + UP + "\n")
check(session.until(PROMPT).split("\r\n")[1].startswith("the king saw"), "no earlier line came back")
# Ctrl-Z, where no shell could continue it, loses nothing of the line.
session.type("the k\x1aing\n")
check(session.until(PROMPT).split("\r\n")[1].startswith("the king"), "the line was lost at Ctrl-Z")
session.type("\x04")
check(session.ended() == 0, "Ctrl-D did not leave quietly")

# Ctrl-C in the middle of a sentence stops it, not the program: the model is told never to stop.
session = Session("--temperature", "50", "--max-tokens", "100000")
session.until("> ")
session.type("the king\n")
session.until("the king\r\nthe king.")
began = time.monotonic()
session.type("\x03")
answer = session.until(PROMPT)
check(time.monotonic() - began < 5, "Ctrl-C took too long")
session.type("\x04")
check(session.ended() == 0, "Ctrl-D did not leave quietly")

# A signal that ends it puts the terminal back.
session = Session()
session.until("> ")
session.type("the k")
session.until("the k")
check(not session.echoes(), "the terminal shows keys by itself")
os.kill(session.pid, signal.SIGTERM)
while session.echoes() is False and session.read(10):
    pass
check(session.echoes(), "the terminal was not put back")
check(session.ended() == -signal.SIGTERM, "SIGTERM did not end it")

# A terminal that cannot go back on a line is read line by line.
os.environ["TERM"] = "dumb"
session = Session()
session.until("> ")
check(session.echoes(), "a dumb terminal is edited on")
session.type("the king\n")
session.until("the king\r\n")
check(session.until(PROMPT).startswith("the king"), "a dumb terminal has no answer")
session.type("\x04")
check(session.ended() == 0, "Ctrl-D did not leave quietly")
os.environ["TERM"] = "xterm"

# With --prompt or --count nobody is asked.
for arguments in (["--prompt", "the king"], ["--count", "2"]):
    session = Session(*arguments)
    check(session.ended() == 0 and "> " not in session.text, f"{arguments} asked for a prompt")
# Elsewhere Ctrl-C ends the program. One sample would be over within milliseconds, and thousands
# fill the terminal's buffer, which cuts characters and is thrown away at Ctrl-C.
session = Session("--prompt", "the king", "--temperature", "50", "--count", "5000")
session.errors = "replace"
session.until("the king.")
session.type("\x03")
check(session.ended() == -signal.SIGINT, "Ctrl-C did not end samples that nobody asked for")
print("terminal.py: a conversation with lm-sample went as it should")
