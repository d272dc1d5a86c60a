import math

import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score, recall_score

from cache.errors import DataError
from nas.evaluation.metrics import ConfusionMatrix


def matrix_of(pred, target, classes):
    matrix = ConfusionMatrix(classes)
    matrix.update(torch.as_tensor(pred), torch.as_tensor(target))
    return matrix


@pytest.fixture
def frames():
    """Predictions of 5 classes and labels of 4 of them with a fifth of void, in frames of an odd size."""
    generator = torch.Generator().manual_seed(0)
    pred = torch.randint(0, 5, (6, 13, 17), generator=generator)
    target = torch.where(torch.rand(pred.shape, generator=generator) < 0.4, pred, pred.flip(0)).clamp(max=3).byte()
    target[torch.rand(pred.shape, generator=generator) < 0.2] = 255
    return pred, target


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_counts_and_scores_are_scikit_learns_on_the_labelled_pixels(frames, dtype):
    pred, target = frames
    matrix = ConfusionMatrix(5)
    for p, t in zip(pred.split(2), target.split(2), strict=True):
        matrix.update(p, t.to(dtype))
    seen, truth = pred[target != 255].numpy(), target[target != 255].numpy()
    assert matrix.counts.tolist() == confusion_matrix(truth, seen, labels=range(5)).tolist()
    iou = jaccard_score(truth, seen, labels=range(5), average=None)
    assert matrix.iou().tolist() == pytest.approx(iou.tolist())
    assert matrix.miou() == pytest.approx(iou[:4].mean())  # class 4 is never labelled
    assert matrix.fwiou() == pytest.approx(jaccard_score(truth, seen, average="weighted"))
    assert matrix.accuracy()[:4].tolist() == pytest.approx(recall_score(truth, seen, labels=range(4), average=None))


def test_scores_worked_out_by_hand():
    # labels 0 0 0 1; predictions 0 0 1 1: IoU 2/3 and 1/2, accuracies 2/3 and 1
    matrix = matrix_of([[[0, 0, 1, 1]]], [[[0, 0, 0, 1]]], 2)
    assert matrix.scores() == pytest.approx({"miou": 7 / 12, "fwiou": 0.75 * 2 / 3 + 0.25 / 2, "mean_accuracy": 5 / 6})


def test_iou_counts_pixels_of_the_split_and_does_not_average_frames():
    stray, full = torch.zeros(1, 8, 8, dtype=torch.int64), torch.full((1, 8, 8), 2)
    stray[0, 0, 0] = 2
    matrix = ConfusionMatrix(3)
    matrix.update(torch.zeros_like(stray), stray)
    matrix.update(full, full)
    assert matrix.iou()[2].item() == pytest.approx(64 / 65)  # the mean of the two frames would be 1/2
    assert matrix.iou()[1].isnan()


def test_a_class_predicted_but_never_labelled_has_no_accuracy_and_enters_no_mean():
    # The ancestor kept a sentinel of 2.0 as the accuracy of class 2, which made this mean accuracy (1/2 + 1 + 2) / 3.
    matrix = matrix_of([[[0, 2, 1, 1]]], [[[0, 0, 1, 1]]], 3)
    assert matrix.accuracy().tolist() == pytest.approx([0.5, 1.0, math.nan], nan_ok=True)
    assert matrix.iou().tolist() == pytest.approx([0.5, 1.0, 0.0])
    assert matrix.mean_accuracy() == pytest.approx(0.75)
    assert matrix.miou() == pytest.approx(0.75)
    assert matrix.fwiou() == pytest.approx(0.75)


def test_a_perfect_segmentation_has_all_scores_one_and_a_wholly_wrong_one_zero():
    assert set(matrix_of([[[0, 1]]], [[[0, 1]]], 3).scores().values()) == {1.0}
    assert set(matrix_of([[[1, 0]]], [[[0, 1]]], 3).scores().values()) == {0.0}


@pytest.mark.parametrize("label", [11, 12, 254, -1, 256])
def test_a_label_out_of_range_is_refused_and_nothing_is_counted(label):
    matrix = ConfusionMatrix(11)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 11\) or be 255"):
        matrix.update(torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([[[0, label]]]))
    assert not matrix.counts.any()


@pytest.mark.parametrize("prediction", [11, 12, -1])
def test_a_prediction_out_of_range_is_refused_and_does_not_count_for_another_label(prediction):
    matrix = ConfusionMatrix(11)
    with pytest.raises(ValueError, match=r"predictions must lie in \[0, 11\)"):
        matrix.update(torch.tensor([[[0, prediction]]]), torch.zeros(1, 1, 2, dtype=torch.int64))
    assert not matrix.counts.any()


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        matrix_of([[[0, 1]]], [[0, 1]], 2)


@pytest.mark.parametrize("score", ["miou", "fwiou", "mean_accuracy", "scores"])
def test_there_is_no_score_without_a_labelled_pixel(score):
    matrix = matrix_of([[[0, 1]]], [[[255, 255]]], 2)
    with pytest.raises(DataError, match="no labelled pixel"):
        getattr(matrix, score)()
