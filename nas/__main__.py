"""`python -m nas`: the list of commands."""

from nas.settings.commands import overview

if __name__ == "__main__":
    print(f"python -m nas.COMMAND [flags], or dyncell COMMAND [flags]; --help says more of each:\n\n{overview()}")
