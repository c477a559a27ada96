import Foundation
import Storage

/// A file that is written over and over, in memory where the system has a place for that.
final class FuzzFile: Sendable {
  private let descriptor: Int32
  private let path: String

  /// The folder of the names, made for this process.
  static let folder: String = {
    let memory = "/dev/shm"
    let parent = Files.isDirectory(memory) ? memory : NSTemporaryDirectory()
    let path = parent + "/fuzz-\(getpid())"
    try? Files.createDirectory(path)
    try? AtomicFile.write(FuzzSeeds.tokenizer, to: path + "/tokenizer.model")
    try? AtomicFile.write(FuzzSeeds.shard, to: path + "/train-0.zst")
    atexit { try? Files.remove(FuzzFile.folder) }
    return path
  }()

  static let shard = FuzzFile("shard.zst")
  static let safetensors = FuzzFile("model.safetensors")
  static let log = FuzzFile("log.jsonl")
  static let index = FuzzFile("model.safetensors.index.json")
  static let manifest = FuzzFile("manifest.json")
  static let text = FuzzFile("text.txt")
  static let zstText = FuzzFile("text.zst")
  static let arpa = FuzzFile("model.arpa")

  private init(_ name: String) {
    path = Self.folder + "/" + name
    descriptor = open(path, O_RDWR | O_CREAT, 0o600)
    precondition(descriptor >= 0, "no file to fuzz with at \(path)")
  }

  /// Replaces what the file holds.
  func write(_ bytes: UnsafeRawBufferPointer) throws -> String {
    guard ftruncate(descriptor, 0) == 0,
      pwrite(descriptor, bytes.baseAddress, bytes.count, 0) == bytes.count
    else { throw StorageError.system(path: path, doing: "write", code: errno) }
    return path
  }
}
