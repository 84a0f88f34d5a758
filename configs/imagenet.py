"""Random ImageNet images with soft labels, at 224 pixels: ResNets teach ResNets, with the settings of table 7.

Claim     random real images with an expert's soft labels are level with distilled ones, and travel between architectures
Table     1
Command   jaxsoft data prepare imagenet --source=DIR --encoded --resize=224 && jaxsoft run imagenet; docs/scale.md
Expected  test accuracy at IPC 1, 10, 50, 100, 200; published, under the paper's protocol. Not run here.
          hard labels   R18 0.6, 3.9, 20.4, 28.2, 37.8
          R18 expert    R18 6.6, 23.9, 47.9, 53.4, 56.8; R50 student 6.8, 24.0, 53.1, 57.6, 62.3
          R50 expert    R18 6.7, 22.9, 43.0, 53.5, 56.5; R50 student 7.3, 23.9, 53.2, 58.3, 62.7
          CutMix labels R18 1.6, 25.8, 54.3, 54.7, 57.7, of the R18 expert
Departs   1% of the train images are validation. One subset for all seeds, as theirs, but of centre crops. Epochs are
          theirs plus one, for their files count from 0. CutMix labels are those of the last epoch, a new view at each.
          Students' epochs are those of their command, 3,000; `:epochs=300` is SRe2L's, and a tenth of the hours.
Quick     `:quick`, digits and small networks, seconds; `:quick,data=image_folder` narrow ResNets on your photographs
"""

from ml_collections import ConfigDict

from jaxsoft import presets

RATES = 5e-4, 0.1  # of the two experts of each network
TEACHERS = (  # of each network: IPC -> which expert, and after how many epochs
    {1: (0, 12), 10: (0, 44), 50: (1, 31), 100: (1, 35), 200: (1, 35)},
    {1: (0, 10), 10: (0, 25), 50: (1, 31), 100: (1, 33), 200: (1, 62)},
)
EXPECTED = "10:.154", "12:.173", "25:.31", "31:.637", "33:.686", "35:.628", "44:.358", "62:.733"  # 31 of both networks


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=image_folder` for your own, `:ipc=10+50`, `:epochs=N` of students, `:seeds=N`, `:quick`; joined by commas."""
    own = {"epochs": 0, "ipc": tuple[int, ...]}
    study = presets.study("imagenet", arg, data="imagenet", quick="digits", like="imagenet", **own)
    teacher, student, last = study.config.teacher, study.config.student, study.config.teacher.epochs
    nets = student.model, student.model.replace("18", "50") if "resnet18" in student.model else "mlp(hidden=8)"
    teacher.models, teacher.rates, teacher.experts = [net for net in nets for _ in RATES], RATES * 2, 4
    teacher.expected = EXPECTED if study.asked.data == "imagenet" and not study.quick else ()
    if study.asked.epochs:
        student.epochs, student.steps = study.asked.epochs, 0
    study.config.sweep.subset_seed = () if study.small else (0,)
    cells, cutmix = [], f"teacher(expert=1, epoch={last}, online=true, mix=cutmix)"
    for ipc in study.budgets(TEACHERS[0]):
        ages = [(1, last)] * 2 if study.small else [table[ipc] for table in TEACHERS]
        soft = [f"teacher(expert={2 * i + which}, epoch={epoch})" for i, (which, epoch) in enumerate(ages)]
        cells += [(nets[0], ipc, labels) for labels in ("hard", cutmix)] + [(n, ipc, s) for s in soft for n in nets]
    return study.sweep({"model ipc labels": cells})
