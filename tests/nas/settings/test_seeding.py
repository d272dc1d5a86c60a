import hashlib

from nas.settings.seeding import stream


def test_a_stream_is_the_first_eight_bytes_of_the_labels_hash_without_its_sign():
    digest = hashlib.sha256(b"7/candidate/abc").digest()
    assert stream(7, "candidate", "abc") == int.from_bytes(digest[:8], "big") // 2


def test_streams_of_different_names_and_roots_differ():
    names = [(root, kind, number) for root in range(20) for kind in ("sample", "candidate") for number in range(50)]
    assert len({stream(*name) for name in names}) == len(names)
