import CommandSupport
import Communication
import LMData
import Storage
import Tokenize

/// Makes a data set by one process or by several, each a part of the files.
struct RankedBuild {
  private let communicator: any Communicator
  private let display: TokenizeDisplay

  init(_ communicator: any Communicator, _ display: TokenizeDisplay) {
    self.communicator = communicator
    self.display = display
  }

  /// Rank 0 trains the tokenizer, all encode, and rank 0 puts the parts together: the bytes of one.
  func run(_ builder: DataSetBuilder) throws -> Manifest {
    if communicator.size == 1 { return try build(builder) }
    var part = builder
    try communicator.onRoot { try builder.checkOutput() }
    if builder.makesTokenizer {
      var bytes: [UInt8] = []
      try communicator.onRoot {
        bytes = try StoppableWork.run { [display] in
          try builder.makeTokenizer(
            isCancelled: { Interrupt.isRequested }, report: { display.show($0) })
        }
      }
      part.tokenizer = .serialized(try communicator.gather(bytes)[0])
    }
    part.part = try CorpusPart(communicator.rank + 1, of: communicator.size)
    part.output = place(of: communicator.rank, builder)
    part.overwrite = true
    let places = (0..<communicator.size).map { place(of: $0, builder) }
    var manifest = try communicator.together { try build(part) }
    try communicator.onRoot {
      var join = DataSetJoin(parts: places, output: builder.output)
      join.overwrite = builder.overwrite
      join.comparesSums = false
      manifest = try join.run()
      for place in places { try Files.remove(place) }
    }
    return manifest
  }

  private func place(of rank: Int, _ builder: DataSetBuilder) -> String {
    "\(builder.output).part-\(rank + 1)-of-\(communicator.size)"
  }

  private func build(_ builder: DataSetBuilder) throws -> Manifest {
    try StoppableWork.run { [display] in
      try builder.build(
        isCancelled: { Interrupt.isRequested }, report: { display.show($0) })
    }
  }
}
