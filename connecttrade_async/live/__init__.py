"""The room of what is true now: books that follow the stream, and many users asked over and over."""
