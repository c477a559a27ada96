import Foundation
import Host
import Model
import Storage
import Tensor
import TestSupport
import Testing

struct ModelFilesTests {
  private static func parameters(_ config: ModelConfig, seed: UInt64 = 1) throws -> Parameters {
    let parameters = try Parameters(config)
    try parameters.initialize(seed: seed)
    return parameters
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func weightsSurviveTheFile(backend: TestBackend, variant: Variant) throws {
    let kernels = try backend.makeKernels()
    try withTemporaryDirectory { directory in
      let parameters = try variant.weights(on: kernels, seed: 1)
      let numbers = try parameters.numbers()
      try ModelFiles.write(variant.config, parameters, directory: directory)
      let config = try ModelFiles.readConfig(directory: directory)
      #expect(config == variant.config)
      let mapped = try ModelFiles.readWeights(config, directory: directory, on: kernels)
      #expect(try mapped.numbers() == numbers)
      let copied = try variant.weights(on: kernels, seed: 2)
      try ModelFiles.readWeights(into: copied, config, directory: directory)
      #expect(try copied.numbers() == numbers)
      // Another device reads the same.
      for other in TestBackend.ofTheProgram {
        let read = try ModelFiles.readWeights(
          config, directory: directory, on: other.makeKernels())
        #expect(try read.numbers() == numbers, "\(other)")
      }
    }
  }

  /// Other writers sort the tensors by name.
  @Test(arguments: TestBackend.ofTheProgram) func anyOrderOfTensorsIsRead(backend: TestBackend)
    throws
  {
    let config = Variant.all[0].config
    let kernels = try backend.makeKernels()
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    try withTemporaryDirectory { directory in
      let slots = parameters.layout.slots.sorted { $0.name < $1.name }
      let writer = try FileWriter(path: directory + "/" + ModelFiles.weightsName)
      try writer.append(
        SafetensorsHeader.encode(slots.map { ($0.name, $0.shape) }, metadata: [:]))
      for slot in slots {
        try kernels.withFloats(of: parameters.view(slot)) { try writer.append($0) }
      }
      try writer.finish()
      let read = try ModelFiles.readWeights(config, directory: directory, on: kernels)
      #expect(try read.numbers() == parameters.numbers())
    }
  }

  @Test func weightsOfAnotherShapeAreRefused() throws {
    let config = Variant.all[0].config
    try withTemporaryDirectory { directory in
      try ModelFiles.write(config, try Self.parameters(config), directory: directory)
      var other = config
      other.hidden += 8
      let error = #expect(throws: ModelError.self) {
        try ModelFiles.readWeights(other, directory: directory)
      }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.contains(ModelFiles.weightsName) && text.contains("expected F32 [48, 24]"))
      var untied = config
      untied.tiedHead = false
      #expect(throws: ModelError.self) {
        try ModelFiles.readWeights(untied, directory: directory)
      }
    }
  }

  @Test func damagedHeadersAreRefused() throws {
    let config = Variant.all[0].config
    try withTemporaryDirectory { directory in
      try ModelFiles.write(config, try Self.parameters(config), directory: directory)
      let path = directory + "/" + ModelFiles.weightsName
      let good = try Files.contents(of: path)
      let header = 8 + Int(good[0]) + Int(good[1]) << 8
      var refused = 0
      for index in 0..<header {
        var bad = good
        bad[index] ^= UInt8(1 << (index % 8))
        try AtomicFile.write(bad, to: path)
        // A flipped bit may spell the same header (in the padding, in metadata): then the weights
        // must be the same.
        if let read = try? ModelFiles.readWeights(config, directory: directory) {
          #expect(try read.all.elements == Self.parameters(config).all.elements, "byte \(index)")
        } else {
          refused += 1
        }
      }
      #expect(refused > header * 8 / 10)
      for length in [0, 3, 8, 20, header, good.count - 1] {
        try AtomicFile.write(Array(good[..<length]), to: path)
        #expect(throws: ModelError.self, "cut to \(length)") {
          try ModelFiles.readWeights(config, directory: directory)
        }
      }
    }
  }

  @Test func hostileHeadersAreRefused() throws {
    func read(_ json: String, data: Int = 16) throws {
      let bytes =
        withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Array($0) } + Array(json.utf8)
        + [UInt8](repeating: 0, count: data)
      _ = try bytes.withUnsafeBytes { try SafetensorsHeader($0, path: "x") }
    }
    try read(#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#)
    for json in [
      #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,17]}}"#,
      #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[-4,12]}}"#,
      #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
      #"{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}"#,
      #"{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,16]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"Q4","shape":[4],"data_offsets":[0,16]}}"#,
      #"{"a":[1,2]}"#, "[]", "{", "",
    ] {
      #expect(throws: ModelError.self, "\(json)") { try read(json) }
    }
  }
}
