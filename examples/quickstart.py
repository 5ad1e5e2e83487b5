"""The whole of it: configure once, decorate what an agent does, call it as before."""

from bmad_otel import configure, track_task


class Librarian:
    @track_task
    def count_words(self, text: str) -> int:
        return len(text.split())


if __name__ == "__main__":
    configure(service_name="quickstart")  # to a collector on localhost:4317; OTEL_* variables are respected
    print(Librarian().count_words("every call is a span and a measurement"), "words")
