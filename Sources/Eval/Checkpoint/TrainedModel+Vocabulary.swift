package import LMData
import Model
import Storage

extension TrainedModel {
  /// The list of words that the training data were made with, if the checkpoint records one.
  ///
  /// Checkpoints of other programs and of older versions do not.
  ///
  /// - Throws: `CheckpointError` or `StorageError` if what records it is damaged.
  package func trainingVocabulary() throws -> VocabularyInfo? {
    let state = path + "/" + CheckpointFolder.stateName
    guard Files.exists(state) else { return nil }
    if try CheckpointFolder.hasSums(path) {
      try CheckpointFolder.verify(path, only: [CheckpointFolder.stateName])
    }
    return try JSONFile.read(Recorded.self, from: state).vocabulary
  }

  private struct Recorded: Decodable {
    let vocabulary: VocabularyInfo?
  }
}
