import Foundation
import LMData
import Storage
import TestSupport
import Testing

@Suite struct ShardTests {
  static let frameIDs = 1 << 19

  @Test(arguments: [
    [], [0], [1], [0, 0, 0], [5, 0, 3], [100], Array(repeating: 997, count: 1100),
    // Just below, at and above the length of a frame, `</s>` included.
    [3, frameIDs - 2, 1], [3, frameIDs - 1, 1], [3, frameIDs, 0, 1], [3, 2 * frameIDs + 5, 0, 1],
    [frameIDs - 4, 1, 0, 0, 0, 7], [frameIDs - 1, frameIDs - 1],
  ])
  func roundTrip(lengths: [Int]) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/shard.zst"
    let sentences = makeSentences(lengths)
    let info = try writeShard(sentences, to: path)
    #expect(info.sentences == lengths.count)
    #expect(info.tokens == lengths.reduce(0, +))
    #expect(info.longestSentence == lengths.max() ?? 0)
    #expect(info.words == lengths.reduce(0) { $0 + $1 / 2 })
    #expect(info.bytes == lengths.reduce(0) { $0 + 3 * $1 + 1 })
    #expect(info.sha256 == (try SHA256.hexDigest(ofFile: path)))
    #expect(info.compressedBytes == (try Files.size(of: path)))
    #expect(info.file == "shard.zst")

    let reader = try ShardReader(path: path, info: info, idBytes: 2, vocabularySize: 1000)
    try reader.verify(eos: eos)
    #expect(try reader.decodeAll() == stream(of: sentences))
    let decoded = try DecodedShard(reader: reader, eos: eos)
    #expect(decoded.sentences == lengths.count)
    for (index, sentence) in sentences.enumerated() {
      let range = decoded.starts[index]..<decoded.starts[index + 1]
      #expect(Array(decoded.ids[range]) == sentence + [eos])
    }
  }

  @Test(arguments: [2, 4])
  func framesAreBoundedAndBeginWithASentence(idBytes: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/shard.zst"
    let limit = (1 << 20) / idBytes
    let sentences = makeSentences([10, limit - 5, 20, limit + 9, 30] + makeLengths(30_000))
    let info = try writeShard(sentences, to: path, idBytes: idBytes)
    let reader = try ShardReader(path: path, info: info, idBytes: idBytes)
    let begins = Set(sentences.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count + 1) })
    var offset = 0
    var inside = 0
    for frame in 0..<reader.frameCount {
      let ids = try reader.decodeFrame(frame)
      #expect(ids.count <= limit && !ids.isEmpty)
      if !begins.contains(offset) { inside += 1 }
      offset += ids.count
    }
    // Only the second frame of the one long sentence begins inside a sentence.
    #expect(inside == 1)
    #expect(reader.frameCount >= 4)
    #expect(try reader.decodeAll() == stream(of: sentences))
  }

  @Test func idsOfFourBytesHoldLargeVocabularies() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/shard.zst"
    let sentences: [[Int32]] = [[65_535, 65_536, 1_000_000], [], [Int32.max - 1]]
    let info = try writeShard(sentences, to: path, idBytes: 4)
    let reader = try ShardReader(path: path, info: info, idBytes: 4)
    #expect(try reader.decodeAll() == stream(of: sentences))
    #expect(Manifest.idBytes(vocabularySize: 65_535) == 2)
    #expect(Manifest.idBytes(vocabularySize: 65_536) == 4)
  }

  @Test func idsPastTheVocabularyAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/shard.zst"
    let info = try writeShard([[3, 999]], to: path)
    _ = try ShardReader(path: path, info: info, idBytes: 2, vocabularySize: 1000).decodeAll()
    let reader = try ShardReader(path: path, info: info, idBytes: 2, vocabularySize: 999)
    let error = #expect(throws: ShardError.self) { try reader.decodeAll() }
    #expect(error?.description.contains(path) == true)
    #expect(error?.description.contains("id 999") == true)
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/zstd")))
  func theSystemToolReadsIt() throws {
    let folder = try TemporaryFolder()
    for lengths in [[], [0], makeLengths(60_000)] {
      let path = folder.path + "/shard.zst"
      let sentences = makeSentences(lengths)
      try writeShard(sentences, to: path)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/zstd")
      process.arguments = ["-dc", path]
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      let output = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      let expected = stream(of: sentences).flatMap { id in
        [UInt8(truncatingIfNeeded: id), UInt8(truncatingIfNeeded: id >> 8)]
      }
      #expect([UInt8](output) == expected)
    }
  }

  @Test func bytesDoNotDependOnThreads() async throws {
    let folder = try TemporaryFolder()
    let root = folder.path
    let sentences = makeSentences(makeLengths(20_000))
    let alone = try writeShard(sentences, to: root + "/alone.zst")
    let digests = try await withThrowingTaskGroup(of: String.self) { group in
      for worker in 0..<4 {
        group.addTask { try writeShard(sentences, to: root + "/\(worker).zst").sha256 }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(digests == Array(repeating: alone.sha256, count: 4))
  }

  @Test(.enabled(if: Files.exists("/dev/full")))
  func aFullDiskIsSaidInWords() throws {
    let writer = try ShardWriter(path: "/dev/full", idBytes: 2, eos: eos, source: "x")
    try writer.append([5], words: 1, bytes: 2)
    let error = #expect(throws: ShardError.self) { try writer.finish() }
    #expect(error?.description.contains("No space left on device") == true)
  }
}

@Suite struct DamagedShardTests {
  /// A shard of several frames without a megabyte of payload each would not exercise the table.
  private func makeShard(in folder: TemporaryFolder) throws -> (String, ShardInfo, [UInt8]) {
    let path = folder.path + "/shard.zst"
    // Few ids compress well: the file stays small while the payload spans frames.
    let info = try writeShard(
      makeSentences(Array(repeating: 300, count: 3000), vocabulary: 5), to: path)
    return (path, info, try Files.contents(of: path))
  }

  @Test func everyFlippedByteIsFound() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/small.zst"
    let sentences = makeSentences(makeLengths(60, longest: 8))
    let info = try writeShard(sentences, to: path)
    let bytes = try Files.contents(of: path)
    let expected = stream(of: sentences)
    for position in bytes.indices {
      for flip: UInt8 in [0x01, 0x10, 0x80, 0xFF] {
        var damaged = bytes
        damaged[position] ^= flip
        try damaged.write(plainlyTo: path)
        // Either refused, or the flip meant nothing; never other ids, never a crash.
        if let ids = try? ShardReader(path: path, info: info, idBytes: 2).decodeAll() {
          #expect(ids == expected, "byte \(position) ^ \(flip)")
        }
        let error = #expect(throws: ShardError.self, "byte \(position) ^ \(flip)") {
          try ShardReader(path: path, info: info, idBytes: 2).verify(eos: eos)
        }
        #expect(error?.description.contains(path) == true)
      }
    }
  }

  @Test func flippedBytesOfALargeShardAreFound() throws {
    let folder = try TemporaryFolder()
    let (path, info, bytes) = try makeShard(in: folder)
    var random = Seeded(state: 5)
    let ends = Array(0..<20) + Array(bytes.count - 40..<bytes.count)
    let positions = ends + (0..<40).map { _ in Int.random(in: bytes.indices, using: &random) }
    for position in positions {
      var damaged = bytes
      damaged[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      try damaged.write(plainlyTo: path)
      let error = #expect(throws: ShardError.self, "byte \(position)") {
        try ShardReader(path: path, info: info, idBytes: 2).verify(eos: eos)
      }
      #expect(error?.description.contains(path) == true)
    }
  }

  @Test func everyTruncationIsFound() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/small.zst"
    var info = try writeShard(makeSentences(makeLengths(30, longest: 8)), to: path)
    let bytes = try Files.contents(of: path)
    for length in 0..<bytes.count {
      try Array(bytes[..<length]).write(plainlyTo: path)
      let error = #expect(throws: ShardError.self, "\(length) bytes") {
        try ShardReader(path: path, info: info, idBytes: 2)
      }
      #expect(error?.description.contains("its size in bytes should be \(bytes.count)") == true)
      // Even a manifest that agrees with the length does not help.
      info.compressedBytes = length
      #expect(throws: ShardError.self, "\(length) bytes") {
        try ShardReader(path: path, info: info, idBytes: 2).verify(eos: eos)
      }
      info.compressedBytes = bytes.count
    }
  }

  @Test func hostileSeekTablesAreRefused() throws {
    let folder = try TemporaryFolder()
    var (path, info, bytes) = try makeShard(in: folder)
    let reader = try ShardReader(path: path, info: info, idBytes: 2)
    let frames = reader.frameCount
    #expect(frames == 2)
    let table = bytes.count - 17 - 8 * frames
    let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    // Compressed and decompressed size of each frame, number of frames, size of the table.
    let fields = (0..<2 * frames).map { table + 8 + 4 * $0 } + [bytes.count - 9, table + 4]
    for field in fields {
      for value in [huge, [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0x80]] {
        var damaged = bytes
        damaged.replaceSubrange(field..<field + 4, with: value)
        try damaged.write(plainlyTo: path)
        let error = #expect(throws: ShardError.self) {
          try ShardReader(path: path, info: info, idBytes: 2)
        }
        #expect(error?.description.contains(path) == true)
      }
    }
    // Sizes that add up but belong to other frames are found at decoding.
    var swapped = bytes
    for half in 0..<2 {
      let first = table + 8 + 4 * half
      let second = first + 8
      swapped.replaceSubrange(first..<first + 4, with: bytes[second..<second + 4])
      swapped.replaceSubrange(second..<second + 4, with: bytes[first..<first + 4])
    }
    try swapped.write(plainlyTo: path)
    let error = #expect(throws: ShardError.self) {
      try ShardReader(path: path, info: info, idBytes: 2).decodeAll()
    }
    #expect(error?.description.contains("frame 0") == true)
    try bytes.write(plainlyTo: path)
    info.tokens += 1
    #expect(throws: ShardError.self) { try ShardReader(path: path, info: info, idBytes: 2) }
  }

  @Test func countsOfTheManifestAreChecked() throws {
    let folder = try TemporaryFolder()
    let (path, info, _) = try makeShard(in: folder)
    var other = info
    other.sentences -= 1
    other.tokens += 1
    expectMismatch(path, other, "number of its sentences")
    other = info
    other.longestSentence += 1
    expectMismatch(path, other, "longest sentence")
    other = info
    other.sha256 = String(repeating: "0", count: 64)
    expectMismatch(path, other, "SHA-256")
    let error = #expect(throws: ShardError.self) {
      try DecodedShard(reader: ShardReader(path: path, info: info, idBytes: 2), eos: 999)
    }
    #expect(error?.description.contains("last id") == true)
  }

  private func expectMismatch(_ path: String, _ info: ShardInfo, _ what: String) {
    let error = #expect(throws: ShardError.self) {
      try ShardReader(path: path, info: info, idBytes: 2).verify(eos: eos)
    }
    #expect(error?.description.contains(what) == true, "\(String(describing: error))")
  }
}

extension [UInt8] {
  /// Writes without the flush to disk, which a thousand damaged copies do not need.
  func write(plainlyTo path: String) throws {
    try Foundation.Data(self).write(to: URL(fileURLWithPath: path))
  }
}
