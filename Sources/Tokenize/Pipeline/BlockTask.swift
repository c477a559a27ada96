/// What is done with the blocks of a corpus.
protocol BlockTask: Sendable {
  /// State of one thread.
  associatedtype Worker
  associatedtype Product

  func makeWorker() -> Worker

  /// Works on a block; several blocks at a time, in no order.
  func process(
    _ block: TextBlock, ofFile index: Int, with worker: Worker
  ) throws(TokenizerError) -> Product

  /// Takes in a result: for each file one at a time, in the order of its blocks.
  func consume(_ product: Product, ofFile index: Int) throws(TokenizerError)

  /// Called once for each file after its last block.
  func finish(file index: Int) throws(TokenizerError)
}
