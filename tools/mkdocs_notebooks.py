"""A mkdocs hook that makes pages of the notebooks in docs/: executed, with what their cells show.

The notebooks are kept without outputs. A page has the text and the code of a notebook, and of its outputs what is
printed, tables and pictures: no progress bars, nor what goes to standard error.
"""

import base64
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

DOCS = Path(__file__).parents[1] / "docs"
SECONDS = 300
_WIDGET = "application/vnd.jupyter.widget-view+json"
# A page has its own style of tables, without those of pandas.
_STYLE = re.compile(r'<style scoped>.*?</style>\s*|(?<=<table) border="1" class="dataframe"', re.DOTALL)
# To a notebook, which is also what somebody reads who has no site.
_LINK = re.compile(r"(\]\([^)\s]*)\.ipynb(?=[)#])")
# By path and contents: `mkdocs serve` builds again and again.
_rendered: dict[tuple[Path, str], tuple[str, dict[str, bytes]]] = {}


def notebooks() -> list[Path]:
    """Return the notebooks of the documentation."""
    return sorted(path for path in DOCS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def on_files(files: Any, *, config: Any) -> Any:
    """Add a page for each notebook, and files for its pictures. The notebook itself is a file of the site too."""
    from mkdocs.structure.files import File

    for source in notebooks():
        page, pictures = rendered(source)
        name = source.relative_to(DOCS)
        contents: dict[str, str | bytes] = {name.with_suffix(".md").as_posix(): page}
        contents |= {(name.parent / picture).as_posix(): content for picture, content in pictures.items()}
        for uri, content in contents.items():
            files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn links to notebooks into links to their pages."""
    return markdown if page.file.generated_by else _to_pages(markdown)


def _to_pages(markdown: str) -> str:
    return _LINK.sub(r"\1.md", markdown)


def rendered(source: Path) -> tuple[str, dict[str, bytes]]:
    """Execute a notebook in an empty folder; return its page in Markdown, and its pictures by file name."""
    key = source, source.read_text(encoding="utf-8")
    if key not in _rendered:
        with tempfile.TemporaryDirectory() as folder:
            _rendered[key] = as_page(executed(source, Path(folder)), source, Path(folder))
    return _rendered[key]


def executed(source: Path, folder: Path) -> Any:
    """Execute a notebook in a folder, with the commands of this environment at hand; an error in a cell is raised."""
    notebook = nbformat.read(source, as_version=4)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryDirectory() as own:
        # Through TCP, as by default, the kernel says that others can listen.
        channels = {"transport": "tcp" if os.name == "nt" else "ipc", "connection_file": f"{own}/kernel.json"}
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            config=Config({"ConnectionFileMixin": channels}),
        )
        client.execute(env={**os.environ, "PATH": commands, "IPYTHONDIR": own})
    return notebook


def as_page(notebook: Any, source: Path, folder: Path) -> tuple[str, dict[str, bytes]]:
    """Return the page of an executed notebook, and its pictures by file name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(_to_pages(cell.source))
            continue
        parts.append(_fenced(cell.source, "python"))
        printed = "".join(
            output.text
            for output in cell.outputs
            if output.output_type == "stream" and output.name == "stdout"
        )
        if printed.strip():
            parts.append(_fenced(printed, "text"))
        for output in cell.outputs:
            data = output.get("data", {})
            if _WIDGET in data or not data:
                continue
            if "image/png" in data:
                name = f"{source.stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(
                    f"![{cell.metadata.get('alt', 'The picture that the code above draws.')}]({name})"
                )
            elif "text/html" in data:
                parts.append(f"<div>\n{_STYLE.sub('', data['text/html']).strip()}\n</div>")
            else:
                parts.append(_fenced(data["text/plain"], "text"))
    # Below the title, which is the first line.
    title, _, rest = parts[0].partition("\n")
    download = f"This page is a notebook: [download {source.name}]({source.name}) to run it."
    page = "\n\n".join([title, download, rest.strip(), *parts[1:]])
    return page.replace(f"{folder}/", "") + "\n", pictures


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.strip(chr(10)).rstrip()}\n```"
