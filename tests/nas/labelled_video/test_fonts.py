"""Fonts are those of the machine; Matplotlib brings DejaVu and STIX along."""

import logging

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from nas.labelled_video import fonts
from nas.labelled_video.fonts import families, font_file
from nas.reporting.plot import Plot

CHINESE = "\u9053\u8def"


def characters(path):
    return set(font_manager.get_font(str(path)).get_charmap())


@pytest.mark.parametrize("text", ["Straße, é, ñ", "δρόμος", "дорога", "ճանապարհ", "დროშა", "דרך"])
def test_many_scripts_need_no_other_font(text, caplog):
    assert families([text]) == ("DejaVu Sans",)
    assert {ord(letter) for letter in text} <= characters(font_file(text))
    assert caplog.messages == []


def test_what_the_first_font_lacks_comes_from_one_that_has_it():
    base = characters(font_manager.findfont("DejaVu Sans"))
    stix = characters(font_manager.findfont("STIXGeneral")) - base
    letter = chr(min(code for code in stix if chr(code).isprintable()))
    first, other = families(["road", letter])
    assert first == "DejaVu Sans"
    assert ord(letter) in characters(font_manager.findfont(other))
    assert ord(letter) in characters(font_file(letter))


def test_what_no_font_has_is_said_once_and_drawn_as_boxes(caplog, monkeypatch, recwarn):
    monkeypatch.setattr(fonts, "_upright", list)
    figure = Figure()
    figure.add_subplot().set_title(CHINESE)
    with caplog.at_level(logging.WARNING):
        assert Plot("a", figure).svg
        assert Plot("b", figure).svg
    assert [sorted(set(CHINESE) & set(message)) for message in caplog.messages] == [sorted(CHINESE)]
    assert not recwarn.list
