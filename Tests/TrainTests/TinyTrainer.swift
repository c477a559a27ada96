import LMData
import TestSupport
import Train

/// A trainer of a run on ``TinyDataSet``, on this processor.
func tinyTrainer(
  _ config: RunConfig, _ data: DataSet, run: String, resume: Bool = false,
  report: @escaping (TrainingEvent) -> Void = { _ in }
) throws -> Trainer {
  try Trainer(
    config: config, dataSet: data, tokenTable: TinyDataSet.tokenTable,
    tokenizer: TinyDataSet.tokenizer, run: run, resume: resume, report: report)
}
