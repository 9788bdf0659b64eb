"""A page as a tree of elements, as a browser reads it."""

from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "link", "img", "input", "path"}  # a path ends itself


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.builder, self.open = ElementTree.TreeBuilder(), []

    def handle_starttag(self, tag, attributes):
        self.builder.start(tag, {key: value or "" for key, value in attributes})
        self.open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} ends what it did not begin"
        self.builder.end(tag)

    def handle_data(self, data):
        self.builder.data(data)


def parsed(path):
    """The page's tree; every element that begins must end."""
    parser = _Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    assert not parser.open
    return parser.builder.close()


def text(element):
    """All text in an element."""
    return "".join(element.itertext())


def texts(tree, path):
    """The texts of all elements at a path."""
    return [text(element) for element in tree.findall(path)]


def panel(tree, call):
    """The panel of a node, by its call."""
    (found,) = (x for x in tree.iter("article") if text(x.find("h2")) == call)
    return found
