import Backends
package import Eval
package import LMData
package import Model
package import Tensor
package import Train

// Tests that say no device run on this processor.

extension Parameters {
  package init(_ config: ModelConfig) throws(DeviceError) {
    try self.init(config, on: Backend.ofThisProcessor)
  }
}

extension Transformer {
  package convenience init(_ config: ModelConfig, parameters: Parameters) throws {
    try self.init(config, parameters: parameters, kernels: Backend.ofThisProcessor)
  }
}

extension TrainedModel {
  package init(
    _ given: String, verifyingWeights: Bool, damaged: [String: String] = [:],
    rebuiltTokenizer: ((_ folder: String) throws -> [UInt8])? = nil,
    note: (String) -> Void = { _ in }
  ) throws {
    try self.init(
      given, on: Backend.ofThisProcessor, verifyingWeights: verifyingWeights, damaged: damaged,
      rebuiltTokenizer: rebuiltTokenizer, note: note)
  }
}

extension Trainer {
  package convenience init(
    config: RunConfig, dataSet: DataSet, tokenTable: TokenTable, tokenizer: [UInt8],
    tokenizerForms: [String: [UInt8]] = [:], run: String, resume: Bool,
    report: @escaping (TrainingEvent) -> Void = { _ in }
  ) throws {
    try self.init(
      config: config, on: Backend.ofThisProcessor, dataSet: dataSet, tokenTable: tokenTable,
      tokenizer: tokenizer, tokenizerForms: tokenizerForms, run: run, resume: resume,
      report: report)
  }
}

extension ModelFiles {
  package static func open(
    directory: String
  ) throws -> (config: ModelConfig, parameters: Parameters, hasOwnHead: Bool) {
    try open(directory: directory, on: Backend.ofThisProcessor)
  }

  package static func readWeights(_ config: ModelConfig, directory: String) throws -> Parameters {
    try readWeights(config, directory: directory, on: Backend.ofThisProcessor)
  }
}

extension TrainingPlan {
  package init(
    _ config: RunConfig, manifest: Manifest, forecast: StepForecast? = nil, programBytes: Int = 0
  ) throws {
    try self.init(
      config, on: Backend.ofThisProcessor, manifest: manifest, forecast: forecast,
      programBytes: programBytes)
  }
}
