import Model
import Storage
import Testing

struct AttentionConfigTests {
  @Test(arguments: AttentionKind.allCases) func defaultsAreReadFromTheNameAlone(
    kind: AttentionKind
  ) throws {
    let parsed = try AttentionConfig(parsing: kind.rawValue)
    #expect(parsed.kind == kind)
    let bare = try JSONFile.decode(
      AttentionConfig.self, from: Array("{\"kind\":\"\(kind.rawValue)\"}".utf8), path: "test")
    #expect(bare == parsed)
    #expect(parsed.values.map(\.key) == kind.help.map(\.key), "every option is explained")
  }

  @Test(arguments: AttentionKind.allCases) func textAndJSONSurvive(kind: AttentionKind) throws {
    let config = try AttentionConfig(parsing: kind.rawValue)
    #expect(try AttentionConfig(parsing: "\(config)") == config)
    let bytes = try JSONFile.encode(config)
    #expect(try JSONFile.decode(AttentionConfig.self, from: bytes, path: "test") == config)
  }

  @Test func optionsAreRead() throws {
    let config = try AttentionConfig(parsing: "hierarchical:query=fine,blockSize=64")
    #expect(config == .hierarchical(blockSize: 64, query: .fine))
    #expect("\(config)" == "hierarchical:blockSize=64,query=fine")
  }

  @Test(arguments: [
    ("fourier", "choose one of softmax"), ("", "choose one of"),
    ("softmax:blockSize=4", "expected none"), ("hierarchical:blockSize", "blockSize, query"),
    ("hierarchical:blocks=4", "blockSize, query"), ("hierarchical:query=medium", "medium"),
    ("hierarchical:blockSize=4,blockSize=8", "at most once"),
    ("hierarchical:blockSize=four", "blockSize"),
  ])
  func whatIsWrongIsSaid(text: String, word: String) {
    let error = #expect(throws: ModelError.self) { try AttentionConfig(parsing: text) }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }
}
