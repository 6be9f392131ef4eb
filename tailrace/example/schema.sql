-- A recruiting platform: people, hiring, conversations with a model, operations, and the sources of
-- three special databases (behaviour, governance, company credit).
-- Runs unchanged on MySQL 8.0 to 9.7 and on MariaDB 10.11. No foreign keys: a cascade would change
-- rows without a row event, and a change stream would never hear of it.

-- People ----------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `users` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` VARCHAR(50) NOT NULL COMMENT 'external id, other tables refer to `id`',
  `username` VARCHAR(100) NOT NULL,
  `email` VARCHAR(255) NOT NULL,
  `phone` VARCHAR(32) NULL,
  `password_hash` VARCHAR(255) NOT NULL,
  `role` ENUM('admin', 'user', 'guest') NOT NULL DEFAULT 'user',
  `status` ENUM('active', 'inactive', 'suspended') NOT NULL DEFAULT 'active',
  `last_login` TIMESTAMP NULL DEFAULT NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uk_users_user_id` (`user_id`),
  UNIQUE KEY `uk_users_email` (`email`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `user_profiles` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `real_name` VARCHAR(100) NULL,
  `avatar` BLOB NULL,
  `bio` TEXT NULL,
  `location` VARCHAR(100) NULL,
  `industry` VARCHAR(100) NULL,
  `experience_years` SMALLINT NULL,
  `education_level` ENUM('high_school', 'college', 'bachelor', 'master', 'doctor') NULL,
  `skills_summary` TEXT NULL,
  `birth_date` DATE NULL,
  `language` VARCHAR(10) NOT NULL DEFAULT 'zh-CN',
  `timezone` VARCHAR(50) NOT NULL DEFAULT 'Asia/Shanghai',
  `preferences` JSON NULL,
  `ai_analysis_consent` TINYINT(1) NOT NULL DEFAULT 0,
  `data_sharing_level` ENUM('none', 'anonymous', 'platform', 'partners') NOT NULL DEFAULT 'none',
  `third_party_access` TINYINT(1) NOT NULL DEFAULT 0,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_user_profiles_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `resumes` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `title` VARCHAR(200) NOT NULL,
  `content` MEDIUMTEXT NULL,
  `content_hash` VARBINARY(32) NULL,
  `creation_mode` ENUM('markdown', 'upload', 'template') NOT NULL DEFAULT 'markdown',
  `template_id` INT NULL,
  `status` ENUM('draft', 'published', 'archived') NOT NULL DEFAULT 'draft',
  `is_public` TINYINT(1) NOT NULL DEFAULT 0,
  `view_count` INT UNSIGNED NOT NULL DEFAULT 0,
  `like_count` INT UNSIGNED NOT NULL DEFAULT 0,
  `share_count` INT UNSIGNED NOT NULL DEFAULT 0,
  `ai_analysis_consent` TINYINT(1) NOT NULL DEFAULT 0,
  `data_sharing_level` ENUM('none', 'anonymous', 'platform', 'partners') NOT NULL DEFAULT 'none',
  `third_party_access` TINYINT(1) NOT NULL DEFAULT 0,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_resumes_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `resume_skills` (
  `resume_id` BIGINT NOT NULL,
  `skill_id` INT NOT NULL,
  `user_id` BIGINT NOT NULL,
  `skill_name` VARCHAR(100) NOT NULL,
  `proficiency_level` ENUM('beginner', 'intermediate', 'advanced', 'expert') NOT NULL,
  `years_of_experience` DECIMAL(4,1) NULL,
  `is_verified` TINYINT(1) NOT NULL DEFAULT 0,
  `created_at` DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (`resume_id`, `skill_id`),
  KEY `ix_resume_skills_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `user_behaviors` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `session_id` VARCHAR(100) NOT NULL,
  `action_type` ENUM('login', 'view', 'create', 'update', 'delete') NOT NULL,
  `action_target` VARCHAR(50) NULL,
  `action_target_id` BIGINT NULL,
  `action_details` JSON NULL,
  `user_agent` VARCHAR(500) NULL,
  `ip_address` VARBINARY(16) NULL COMMENT '4 or 16 bytes, network order',
  `duration` INT NOT NULL DEFAULT 0 COMMENT 'milliseconds',
  `success` TINYINT(1) NOT NULL DEFAULT 1,
  `occurred_at` DATETIME(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_user_behaviors_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Hiring ----------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `companies` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `name` VARCHAR(200) NOT NULL,
  `industry` VARCHAR(100) NULL,
  `company_size` ENUM('1-20', '21-99', '100-499', '500-999', '1000-9999', '10000+') NULL,
  `location` VARCHAR(100) NULL,
  `website` VARCHAR(255) NULL,
  `description` TEXT NULL,
  `benefits` JSON NULL,
  `founded_on` DATE NULL,
  `registered_capital` DECIMAL(20,2) NULL,
  `employee_count` INT UNSIGNED NULL,
  `license_number` VARCHAR(64) NULL,
  `contact_email` VARCHAR(255) NULL,
  `status` ENUM('pending', 'verified', 'rejected', 'closed') NOT NULL DEFAULT 'pending',
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `jobs` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `company_id` BIGINT NOT NULL,
  `title` VARCHAR(200) NOT NULL,
  `description` TEXT NOT NULL,
  `requirements` TEXT NULL,
  `location` VARCHAR(100) NULL,
  `salary_min` INT UNSIGNED NULL,
  `salary_max` INT UNSIGNED NULL,
  `job_type` ENUM('full_time', 'part_time', 'contract', 'internship', 'remote') NOT NULL DEFAULT 'full_time',
  `experience_required` VARCHAR(50) NULL,
  `skills` JSON NULL,
  `status` ENUM('draft', 'open', 'paused', 'closed') NOT NULL DEFAULT 'open',
  `contact_phone` VARCHAR(32) NULL,
  `internal_note` TEXT NULL,
  `posted_at` DATETIME NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_jobs_company_id` (`company_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Conversations with a model ----------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `ai_conversations` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `conversation_type` ENUM('career_advice', 'resume_review', 'interview_prep', 'skill_analysis', 'general')
    NOT NULL DEFAULT 'general',
  `session_id` VARCHAR(100) NOT NULL,
  `user_input` TEXT NOT NULL,
  `ai_response` MEDIUMTEXT NULL,
  `model_name` VARCHAR(50) NOT NULL,
  `conversation_context` JSON NULL,
  `message_count` INT UNSIGNED NOT NULL DEFAULT 0,
  `is_active` TINYINT(1) NOT NULL DEFAULT 1,
  `last_activity_at` TIMESTAMP(3) NULL DEFAULT NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_ai_conversations_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `ai_messages` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `conversation_id` BIGINT NOT NULL,
  `user_id` BIGINT NOT NULL,
  `message_type` ENUM('user', 'assistant', 'system') NOT NULL,
  `content` TEXT NOT NULL,
  `metadata` JSON NULL,
  `tokens_used` INT NULL,
  `processing_time_ms` INT UNSIGNED NULL,
  `created_at` DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (`id`),
  KEY `ix_ai_messages_conversation_id` (`conversation_id`),
  KEY `ix_ai_messages_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `ai_analysis_results` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `analysis_type` VARCHAR(50) NOT NULL,
  `target_type` ENUM('company', 'job', 'resume', 'user', 'conversation') NOT NULL,
  `target_id` BIGINT NULL,
  `input_content` TEXT NOT NULL,
  `analysis_result` JSON NOT NULL,
  `confidence_score` DOUBLE NULL,
  `processing_time` INT NULL COMMENT 'milliseconds',
  `model_name` VARCHAR(50) NULL,
  `is_valid` TINYINT(1) NOT NULL DEFAULT 1,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_ai_analysis_results_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Operations --------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `system_configs` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `config_key` VARCHAR(100) NOT NULL,
  `config_value` TEXT NULL,
  `config_type` ENUM('string', 'number', 'boolean', 'json') NOT NULL DEFAULT 'string',
  `description` TEXT NULL,
  `is_active` TINYINT(1) NOT NULL DEFAULT 1,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uk_system_configs_config_key` (`config_key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `permissions` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `permission_name` VARCHAR(100) NOT NULL,
  `permission_code` VARCHAR(50) NOT NULL,
  `description` TEXT NULL,
  `resource_type` VARCHAR(50) NULL,
  `action` VARCHAR(50) NULL,
  `is_active` TINYINT(1) NOT NULL DEFAULT 1,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uk_permissions_permission_code` (`permission_code`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `role_permissions` (
  `role_name` VARCHAR(50) NOT NULL,
  `permission_code` VARCHAR(50) NOT NULL,
  `granted_by` VARCHAR(100) NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`role_name`, `permission_code`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `financial_records` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `transaction_type` ENUM('income', 'expense', 'transfer') NOT NULL,
  `amount` DECIMAL(15,2) NOT NULL,
  `currency` VARCHAR(10) NOT NULL DEFAULT 'CNY',
  `description` TEXT NULL,
  `category` VARCHAR(100) NULL,
  `transaction_date` DATE NOT NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_financial_records_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `ai_service_configs` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `service_name` VARCHAR(100) NOT NULL,
  `service_type` ENUM('chat', 'analysis', 'generation', 'translation') NOT NULL,
  `api_endpoint` VARCHAR(500) NULL,
  `api_key_encrypted` TEXT NULL,
  `model_name` VARCHAR(100) NULL,
  `max_tokens` INT NOT NULL DEFAULT 1000,
  `temperature` DECIMAL(3,2) NOT NULL DEFAULT 0.70,
  `cost_per_token` DECIMAL(10,6) NOT NULL DEFAULT 0.000001,
  `is_active` TINYINT(1) NOT NULL DEFAULT 1,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uk_ai_service_configs_service_name` (`service_name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Governance --------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `dao_proposals` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL COMMENT 'who proposed it',
  `title` VARCHAR(200) NOT NULL,
  `body` TEXT NULL,
  `category` ENUM('policy', 'budget', 'membership', 'technical') NOT NULL,
  `status` ENUM('draft', 'voting', 'passed', 'rejected', 'executed') NOT NULL DEFAULT 'draft',
  `quorum` DECIMAL(9,6) NOT NULL DEFAULT 0.500000,
  `vote_options` JSON NULL,
  `opens_at` DATETIME NULL,
  `closes_at` DATETIME NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_dao_proposals_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `dao_votes` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `proposal_id` BIGINT NOT NULL,
  `user_id` BIGINT NOT NULL,
  `choice` ENUM('for', 'against', 'abstain') NOT NULL,
  `weight` DECIMAL(30,10) NOT NULL,
  `reason` TEXT NULL,
  `cast_at` DATETIME(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_dao_votes_proposal_id` (`proposal_id`),
  KEY `ix_dao_votes_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `dao_points` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `user_id` BIGINT NOT NULL,
  `change_type` ENUM('earned', 'spent', 'granted', 'revoked') NOT NULL,
  `amount` DECIMAL(20,4) NOT NULL,
  `balance` DECIMAL(24,4) NOT NULL,
  `reference_id` BIGINT NULL,
  `note` VARCHAR(255) NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_dao_points_user_id` (`user_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- Company credit ----------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS `company_ratings` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `company_id` BIGINT NOT NULL,
  `agency` VARCHAR(100) NOT NULL,
  `grade` ENUM('AAA', 'AA', 'A', 'BBB', 'BB', 'B', 'C', 'D') NOT NULL,
  `score` DECIMAL(5,2) NULL,
  `outlook` ENUM('positive', 'stable', 'negative') NULL,
  `factors` JSON NULL,
  `rated_on` DATE NOT NULL,
  `created_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_company_ratings_company_id` (`company_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `company_risks` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `company_id` BIGINT NOT NULL,
  `risk_type` ENUM('legal', 'financial', 'operational', 'reputation', 'labour') NOT NULL,
  `severity` TINYINT NOT NULL COMMENT '-1 unknown, 0 none to 5 critical',
  `probability` DOUBLE NULL,
  `exposure` DECIMAL(20,2) NULL,
  `description` TEXT NULL,
  `evidence` JSON NULL,
  `is_resolved` TINYINT(1) NOT NULL DEFAULT 0,
  `detected_at` DATETIME(6) NOT NULL,
  `resolved_at` DATETIME NULL,
  PRIMARY KEY (`id`),
  KEY `ix_company_risks_company_id` (`company_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS `company_compliance` (
  `id` BIGINT NOT NULL AUTO_INCREMENT,
  `company_id` BIGINT NOT NULL,
  `regulation` VARCHAR(100) NOT NULL,
  `status` ENUM('compliant', 'partial', 'violation', 'unknown') NOT NULL DEFAULT 'unknown',
  `checked_by` VARCHAR(100) NULL,
  `evidence_hash` VARBINARY(32) NULL,
  `findings` JSON NULL,
  `valid_until` DATE NULL,
  `checked_at` DATETIME NOT NULL,
  `updated_at` TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (`id`),
  KEY `ix_company_compliance_company_id` (`company_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
