-- A ledger that proves a change stream: every change of a row of `tr_ledger` moves its `n` on by one,
-- and `tr_ledger_truth` is written in the same transaction, so what must arrive can be read back here
-- whatever became of the writer.

CREATE TABLE IF NOT EXISTS `tr_ledger` (
  `id` BIGINT NOT NULL,
  `n` BIGINT NOT NULL,
  `payload` VARCHAR(200) NULL,
  `user_id` BIGINT NOT NULL,
  `touched_at` DATETIME(6) NOT NULL COMMENT 'UTC, when the statement ran',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `tr_ledger_truth` (
  `id` BIGINT NOT NULL,
  `n` BIGINT NOT NULL COMMENT 'last n ever written for this id',
  `alive` TINYINT(1) NOT NULL COMMENT 'whether `tr_ledger` holds the id now',
  `changes` BIGINT NOT NULL COMMENT 'creates, updates and deletes of this key, a key change counts once for either key',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
