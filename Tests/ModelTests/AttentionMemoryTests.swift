import Backends
import Model
import Tensor
import Testing

/// No attention keeps a number for every pair of positions.
@Suite struct AttentionMemoryTests {
  @Test(arguments: [
    "softmax", "hierarchical", "hierarchical:query=fine", "yoso:estimate=expectation",
    "yoso:estimate=sampled", "yoso:estimate=hybrid", "combiner:pattern=fixed",
    "combiner:pattern=rowmajor", "combiner:pattern=logsparse", "combiner:pattern=vertical",
    "combiner:pattern=mixture",
  ])
  func memoryIsNotQuadraticInTheLength(attention: String) throws {
    let kernels = Backend.ofThisProcessor
    /// Floats that a forward and a backward pass borrow, of a task and of what tasks share.
    func need(_ length: Int) throws -> Int {
      var model = ModelConfig(vocabularySize: 16, width: 8, layers: 1, heads: 1, hidden: 8)
      model.use(try AttentionConfig(parsing: attention))
      let trial = try AttentionTrial(model, on: kernels, length: length)
      let need = kernels.workingNeed {
        trial.forward(step: 0)
        trial.backward(step: 0)
      }
      return need.task + need.shared
    }
    let (short, long) = (try need(2_048), try need(8_192))
    // Sixteen times as much for a number a pair; a row of the widest pattern grows by two.
    #expect(short > 0 && long < 9 * short, "\(short) and \(long) floats")
    #expect(long < 8_192 * 8_192 / 8, "\(long) floats")
  }
}
