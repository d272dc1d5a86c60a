import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from cache.datasets.clips import VOID, Frame
from cache.datasets.folder import Folder
from cache.datasets.folder_settings import EXAMPLE
from cache.errors import DataError
from cache.video import decoded, open_video


@pytest.fixture
def root(tmp_path, put, picture):
    """One clip of frames 8 to 11, of which 9 and 10 have masks."""
    (tmp_path / "dataset.yaml").write_text("classes: [street, dog, cat]\nvoid: 99\n")
    for number in (8, 9, 10, 11):
        put(tmp_path / f"train/walk/images/cam2_{number}.jpg", picture(seed=number))
    for number in (9, 10):
        put(tmp_path / f"train/walk/masks/cam2_{number}.png", np.arange(48).reshape(6, 8) % 3)
    return tmp_path


def settings(root, text):
    (root / "dataset.yaml").write_text(text)
    return Folder(root)


def test_frames_without_a_mask_are_unlabelled_and_order_is_by_number_not_by_name(root):
    assert Folder(root).frames("train") == (
        Frame("train/walk/cam2_8", "walk", 8, labelled=False),
        Frame("train/walk/cam2_9", "walk", 9),
        Frame("train/walk/cam2_10", "walk", 10),
        Frame("train/walk/cam2_11", "walk", 11, labelled=False),
    )


def test_masks_hold_class_numbers_and_void(root, put):
    put(root / "train/walk/masks/cam2_9.png", [[0, 1, 2, 99, 0, 0, 0, 0]] * 6)
    folder = Folder(root)
    np.testing.assert_array_equal(folder.label(folder.frames("train")[1])[0], [0, 1, 2, VOID, 0, 0, 0, 0])
    assert folder.classes == ("street", "dog", "cat")


def test_an_unknown_value_is_named_with_what_is_known(root, put):
    put(root / "train/walk/masks/cam2_9.png", np.full((6, 8), 3))
    folder = Folder(root)
    with pytest.raises(DataError, match=r"cam2_9.png holds the value 3 .* 0, 1, 2, 99; .* void in dataset.yaml"):
        folder.label(folder.frames("train")[1])


def test_colours_are_read_or_made_up_and_differ(root):
    assert len(set(Folder(root).colours)) == 3
    given = settings(root, "classes: [a, b]\ncolours: [[0, 0, 0], [255, 128, 0]]\n")
    assert given.colours == ((0, 0, 0), (255, 128, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [a, b", "is no YAML"),
        ("classes: " + "[" * 100_000, "is no YAML: it is nested deeper than 50 levels"),
        ("classes: &a [*a, *a]", "is no YAML: it has an alias"),
        ("classes: [!!timestamp x]", "is no YAML"),
        ("[a, b]", "must be a mapping"),
        ("colours: []", "must be a mapping with a list of classes"),
        ("classes: [a, b]\nclases: 1", "unknown key 'clases'"),
        ("classes: [only]", "must be 2 to 255 names"),
        ("classes: [yes, no]", "must be 2 to 255 names"),
        ('classes: [a, "two\\nlines"]', "must be 2 to 255 names of one line"),
        ("classes: [a, a]", "must differ"),
        ("classes: [a, b]\nvoid: 1", "from 2 .* to 255, not 1"),
        ("classes: [a, b]\nvoid: 256", "not 256"),
        ("classes: [a, b]\nvoid: true", "not True"),
        ("classes: [a, b]\ncolours: [[0, 0, 0]]", "must be 2 lists"),
        ("classes: [a, b]\ncolours: [[0, 0, 0], [0, 0, 256]]", "numbers from 0 to 255"),
    ],
)
def test_a_wrong_yaml_is_explained(root, text, message):
    with pytest.raises(DataError, match=message):
        settings(root, text)


def test_missing_pieces_are_named(root, tmp_path_factory):
    with pytest.raises(DataError, match=r"no val split: .*val is missing"):
        Folder(root).frames("val")
    with pytest.raises(DataError, match=r"cannot read .*dataset.yaml: No such file .*--data-root"):
        Folder(root / "nowhere")
    empty = tmp_path_factory.mktemp("empty")
    (empty / "dataset.yaml").write_text("classes: [a, b]")
    with pytest.raises(DataError, match=r"no clips in .*none of the folders"):
        Folder(empty)


def test_a_mask_without_image_a_name_without_number_and_a_number_twice_are_refused(root, put, picture):
    lonely = put(root / "train/walk/masks/cam2_7.png", np.zeros((6, 8)))
    with pytest.raises(DataError, match=r"mask .*cam2_7.png has no image"):
        Folder(root).frames("train")
    lonely.unlink()
    nameless = put(root / "train/walk/images/cover.png", picture())
    with pytest.raises(DataError, match=r"cover\.png does not end in a number"):
        Folder(root).frames("train")
    nameless.rename(root / "train/walk/images/cam3_9.png")
    with pytest.raises(DataError, match="have the same frame number 9"):
        Folder(root).frames("train")


def test_a_split_without_any_mask_and_a_clip_without_images_are_refused(root, put, picture):
    put(root / "val/run/images/1.png", picture())
    with pytest.raises(DataError, match="no labelled frame in its val split"):
        Folder(root).frames("val")
    (root / "test/run").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot list the folder .*test/run/images"):
        Folder(root).frames("test")


def test_clips_of_one_name_in_two_splits_stay_apart(root, put, picture):
    put(root / "val/walk/images/cam2_9.png", picture(seed=1))
    put(root / "val/walk/masks/cam2_9.png", np.zeros((6, 8)))
    folder = Folder(root)
    assert folder.image(folder.frames("val")[0]).tolist() == picture(seed=1).tolist()
    assert folder.fingerprint("train") != folder.fingerprint("val")


def relabelled(root, **keys):
    """The clips of `root` with more keys in their dataset.yaml."""
    text = yaml.safe_dump({"classes": ["street", "dog", "cat"]} | keys, default_flow_style=None)
    return settings(root, text)


def test_the_example_is_a_dataset_yaml_with_every_key(tmp_path):
    (tmp_path / "dataset.yaml").write_text(EXAMPLE.replace("\n# ", "\n"))
    with pytest.raises(DataError, match="must be a number that is none of the values"):
        Folder(tmp_path)  # 255 cannot be a class and void; the rest is right
    (tmp_path / "dataset.yaml").write_text(EXAMPLE)
    (tmp_path / "train").mkdir()
    assert Folder(tmp_path).name == "walks"


def test_the_data_is_called_by_its_name(root):
    assert settings(root, "classes: [a, b, c]\nvoid: 99").name == "folder"
    assert relabelled(root, name="my-walks_2").name == "my-walks_2"
    with pytest.raises(DataError, match=r"name in .* must be letters"):
        relabelled(root, name="../elsewhere")


def test_pixel_values_of_classes_may_be_listed(root, put):
    put(root / "train/walk/masks/cam2_9.png", [[0, 255, 128, 0, 0, 0, 0, 0]] * 6)
    folder = relabelled(root, values=[0, 255, 128])
    assert folder.label(folder.frames("train")[1])[0, :3].tolist() == [0, 1, 2]
    for wrong in ([0, 1], [0, 0, 1], [0, 1, -1], ["0", 1, 2]):
        with pytest.raises(DataError, match=r"values in .* must be 3 different numbers"):
            relabelled(root, values=wrong)


def test_masks_of_colours_are_decoded_by_colours(root, put):
    colours = np.array([[0, 0, 0], [200, 30, 30], [30, 30, 200]])
    label = np.arange(48).reshape(6, 8) % 3
    put(root / "train/walk/masks/cam2_9.png", colours[label])
    folder = relabelled(root, colours=colours.tolist())
    np.testing.assert_array_equal(folder.label(folder.frames("train")[1]), label)


def test_splits_may_be_lists_of_clips(tmp_path, put, picture):
    for clip in ("monday", "tuesday", "drives/7"):
        put(tmp_path / f"{clip}/images/1.png", picture(seed=len(clip)))
        put(tmp_path / f"{clip}/masks/1.png", np.zeros((6, 8)))
    folder = settings(tmp_path, "classes: [a, b]\nsplits: {train: [monday, tuesday], val: [drives/7]}")
    assert [frame.name for frame in folder.frames("train")] == ["monday/1", "tuesday/1"]
    assert folder.frames("val") == (Frame("drives/7/1", "drives/7", 1),)
    assert not folder.has("test")
    for text, message in (
        ("{train: [monday], val: [monday]}", r"'monday' stands twice in .*, in train and in val"),
        ("{train: [../monday]}", "splits in .* must be lists of clips"),
        ("{trian: [monday]}", "splits in .* must be lists of clips"),
    ):
        with pytest.raises(DataError, match=message):
            settings(tmp_path, f"classes: [a, b]\nsplits: {text}")
    with pytest.raises(DataError, match=r"no train split: the clip .*sunday is missing"):
        settings(tmp_path, "classes: [a, b]\nsplits: {train: [sunday]}").frames("train")


@pytest.mark.parametrize("fit", ["resize", "letterbox"])
def test_clips_of_several_sizes_may_be_brought_to_one(root, put, picture, fit):
    put(root / "train/zoom/images/1.png", picture((12, 8)))
    put(root / "train/zoom/masks/1.png", np.ones((12, 8)))
    folder = Folder(root)
    with pytest.raises(DataError, match=r"1\.png has size 12x8, but folder has 6x8 .*sizes: letterbox"):
        folder.image(folder.frames("train")[-1])
    folder = relabelled(root, sizes=fit)
    frame = folder.frames("train")[-1]
    assert folder.image(frame).shape == (6, 8, 3)
    label = folder.label(frame)
    assert label.shape == (6, 8)
    assert (label != VOID).sum() == (48 if fit == "resize" else 24)  # half of the frame shows the narrow picture
    assert relabelled(root, sizes=fit, size=[3, 4]).image(frame).shape == (3, 4, 3)
    assert relabelled(root, sizes=fit).fingerprint("train") != relabelled(root, sizes=fit, size=[3, 4]).fingerprint(
        "train"
    )


def test_a_mask_whose_image_is_turned_by_a_tag_is_refused_with_the_tag(root, put, picture):
    path, exif = root / "train/walk/images/cam2_9.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture((8, 6))).save(path, exif=exif)  # stored on its side, and shown as 6x8
    folder = Folder(root)
    assert folder.image(folder.frames("train")[1]).shape == (6, 8, 3)
    assert folder.label(folder.frames("train")[1]).shape == (6, 8)
    put(root / "train/walk/masks/cam2_9.png", np.zeros((8, 6)))
    with pytest.raises(DataError, match=r"cam2_9\.jpg has the EXIF tag Orientation 6, by which it is turned upright"):
        folder.label(folder.frames("train")[1])


def test_every_change_of_a_mask_changes_the_fingerprint(root, put):
    """Also one far behind in a file that keeps its size, as in an uncompressed PNG."""
    path = root / "train/walk/masks/cam2_9.png"
    mask = np.zeros((400, 400), np.uint8)
    Image.fromarray(mask).save(path, compress_level=0)
    size, before = path.stat().st_size, Folder(root).fingerprint("train")
    mask[-1, -1] = 1
    Image.fromarray(mask).save(path, compress_level=0)
    assert path.stat().st_size == size
    assert Folder(root).fingerprint("train") != before


def test_the_end_of_a_long_image_counts(root, monkeypatch):
    monkeypatch.setattr("cache.datasets.files.WHOLE", 8)
    monkeypatch.setattr("cache.datasets.files._END", 8)
    path = root / "train/walk/images/cam2_9.jpg"
    before, content = Folder(root).fingerprint("train"), path.read_bytes()
    path.write_bytes(content[:-4] + b"abcd")
    assert Folder(root).fingerprint("train") != before


def test_a_corrected_mask_is_noticed_by_a_data_set_that_was_opened_before(root, put):
    folder = Folder(root)
    before = folder.fingerprint("train")
    put(root / "train/walk/masks/cam2_9.png", np.ones((6, 8)))
    assert folder.fingerprint("train") != before


@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_a_folder_that_may_be_meant_for_masks_is_named(root, name):
    (root / "train/walk/masks").rename(root / "train/walk" / name)
    with pytest.raises(DataError, match=rf"walk has no folder masks, but one called {name}, .* rename it to masks"):
        Folder(root).frames("train")


def test_masks_of_another_suffix_are_refused(root):
    path = root / "train/walk/masks/cam2_9.png"
    path.rename(path.with_suffix(".tif"))
    with pytest.raises(DataError, match=r"1 file in .*masks would be left out, the first is cam2_9\.tif"):
        Folder(root).frames("train")


def test_images_without_clip_folders_are_answered_with_where_they_belong(root):
    (root / "train/walk").rename(root / "flat")
    (root / "train").rmdir()
    (root / "flat").rename(root / "train")
    with pytest.raises(
        DataError, match=r"train holds images and no clips: move .*train/images and its masks into .*clip1"
    ):
        Folder(root).frames("train")


def test_unused_folders_and_files_are_told_of(root, caplog):
    (root / "validation").mkdir()
    (root / "train/notes.txt").touch()
    (root / "train/walk/depth").mkdir()
    Folder(root).frames("train")
    assert caplog.messages == [
        f"1 thing in {root} not used, the first is validation",
        f"1 thing in {root / 'train'} not used, the first is notes.txt",
        f"1 thing in {root / 'train/walk'} not used, the first is depth",
    ]


@pytest.fixture
def filmed(tmp_path):
    """A clip of 120 frames as a video, each in a grey of its own, with masks of frames 2 and 100."""
    root = tmp_path / "filmed"
    (root / "train/drive/masks").mkdir(parents=True)
    (root / "dataset.yaml").write_text("classes: [a, b]\n")
    writer = cv2.VideoWriter(
        str(root / "train/drive/film.mp4"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, (32, 16)
    )
    for number in range(120):
        writer.write(np.full((16, 32, 3), 2 * number, np.uint8))
    writer.release()
    for number in (2, 100):
        Image.fromarray(np.full((16, 32), 1, np.uint8)).save(root / f"train/drive/masks/frame_{number:06d}.png")
    return root


def test_a_clip_may_be_a_video_with_masks_named_by_the_frame_number(filmed):
    folder = Folder(filmed)
    frames = folder.frames("train")
    assert frames[2] == Frame("train/drive/frame_000002", "drive", 2)
    assert [frame.number for frame in frames] == list(range(120))
    assert [frame.number for frame in frames if frame.labelled] == [2, 100]
    assert folder.size == (16, 32)
    in_order = [pixels for _, pixels in decoded(open_video(filmed / "train/drive/film.mp4"))]
    assert len({pixels.tobytes() for pixels in in_order}) > 100  # nearly every frame differs from all others
    for number in (100, 2, 3, 119, 0, 60, 61, 59):  # from anywhere to anywhere
        np.testing.assert_array_equal(folder.image(frames[number]), in_order[number])
    assert (folder.label(frames[100]) == 1).all()


def test_a_mask_of_no_frame_of_a_video_and_two_sources_of_frames_are_refused(filmed):
    lonely = filmed / "train/drive/masks/frame_000120.png"
    Image.fromarray(np.zeros((16, 32), np.uint8)).save(lonely)
    with pytest.raises(DataError, match=r"frame_000120\.png is the mask of no frame of .*it has frames 0 to 119"):
        Folder(filmed).frames("train")
    lonely.unlink()
    (filmed / "train/drive/images").mkdir()
    with pytest.raises(DataError, match="more than one source of frames"):
        Folder(filmed).frames("train")


def test_masks_that_begin_at_1_are_read_by_listing_their_values(root, put):
    put(root / "train/walk/masks/cam2_9.png", [[0, 1, 2, 3, 0, 0, 0, 0]] * 6)
    folder = Folder(root)
    with pytest.raises(DataError, match=r"cam2_9.png holds the value 3 .* values and void in dataset\.yaml"):
        folder.label(folder.frames("train")[1])
    folder = relabelled(root, values=[1, 2, 3], void=0)
    assert folder.label(folder.frames("train")[1])[0, :4].tolist() == [VOID, 0, 1, 2]


def test_a_mask_with_an_ending_of_its_own_is_answered_with_its_name(root):
    (root / "train/walk/masks/cam2_9.png").rename(root / "train/walk/masks/cam2_9_mask.png")
    with pytest.raises(DataError, match=r"cam2_9_mask\.png has no image .*name it cam2_9\.png if it is of cam2_9\.jpg"):
        Folder(root).frames("train")
