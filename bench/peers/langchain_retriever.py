"""LangChain's retriever as its tutorial sets it up, run by a Python that has langchain installed.

Reads {"documents": {name: text}, "questions": [[name, text], ...]} from its first line of input. Whatever
it wants embedded it prints as {"embed": [texts]}, and reads the vectors from the next line; so it is given
the very model that it is compared on. Ends with {"found": [[[text, score], ...], ...]}.
"""

import json
import sys

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter


class Asked(Embeddings):
    """Embeddings made by whoever started this."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One row for each."""
        print(json.dumps({"embed": texts}), flush=True)
        return json.loads(sys.stdin.readline())

    def embed_query(self, text: str) -> list[float]:
        """One row."""
        return self.embed_documents([text])[0]


def main() -> None:
    """See the module's docstring."""
    asked = json.loads(sys.stdin.readline())
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    stores = {}
    for name, text in asked["documents"].items():
        stores[name] = InMemoryVectorStore(Asked())
        stores[name].add_documents(splitter.split_documents([Document(page_content=text)]))
    found = [
        [
            (document.page_content, score)
            for document, score in stores[name].similarity_search_with_score(text, k=4)
        ]
        for name, text in asked["questions"]
    ]
    print(json.dumps({"found": found}), flush=True)


if __name__ == "__main__":
    main()
