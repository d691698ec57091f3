"""Sequence to sequence: an encoder reads the prompt, a decoder writes the response."""

from autopeft.tasks.kind import TaskKind


class Seq2Seq(TaskKind):
    name = "seq2seq"
    title = "sequence-to-sequence learning"
    auto_model = "AutoModelForSeq2SeqLM"
    peft_task_type = "SEQ_2_SEQ_LM"
    pipeline_tag = "text2text-generation"
    metrics = {}
    row_level = False
    new_head = False
    two_stacks = True
