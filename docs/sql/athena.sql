-- Athena: one table per archived topic. Replace BUCKET/assay by where `assay archive --to` writes.
-- Days and hours are projected from their range, so no partition is ever registered; move the first day to yours.
-- docs/archive.md says what the columns mean.

CREATE EXTERNAL TABLE events (
  `partition` int,
  `offset` bigint,
  `timestamp_ms` bigint,
  `key` binary,
  `value` binary,
  `headers` array<struct<key:string,value:binary>>,
  `event_id` string,
  `type` string,
  `account_id` string,
  `time_ms` bigint,
  `amount_minor` bigint,
  `currency` string,
  `method` string,
  `merchant_id` string,
  `mcc` string,
  `country` string,
  `channel` string,
  `device_id` string,
  `ip` string,
  `card_id` string,
  `bin` string,
  `beneficiary_id` string,
  `email` string,
  `lat` double,
  `lon` double,
  `authorization` string,
  `session` struct<dwell_ms_mean:double,dwell_ms_std:double,flight_ms_mean:double,flight_ms_std:double,keys:bigint,backspaces:bigint,pastes:bigint,mouse_speed_mean:double,mouse_curvature:double,touch_pressure_mean:double,duration_ms:double,pages:bigint>,
  `success` boolean,
  `field` string,
  `phone` string,
  `address` string,
  `national_id` string,
  `name` string,
  `date_of_birth` string,
  `requested_minor` bigint,
  `judged_event_id` string,
  `label` string,
  `fraud_type` string,
  `known_at_ms` bigint,
  `source` string,
  `marker` string,
  `marker_value` string,
  `reason` string
)
PARTITIONED BY (`dt` string, `hour` int)
STORED AS PARQUET
LOCATION 's3://BUCKET/assay/events/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2025-01-01,NOW+1DAYS',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://BUCKET/assay/events/dt=${dt}/hour=${hour}/'
);

CREATE EXTERNAL TABLE labels (
  `partition` int,
  `offset` bigint,
  `timestamp_ms` bigint,
  `key` binary,
  `value` binary,
  `headers` array<struct<key:string,value:binary>>,
  `judged_event_id` string,
  `account_id` string,
  `label` string,
  `fraud_type` string,
  `known_at_ms` bigint,
  `source` string
)
PARTITIONED BY (`dt` string, `hour` int)
STORED AS PARQUET
LOCATION 's3://BUCKET/assay/labels/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2025-01-01,NOW+1DAYS',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://BUCKET/assay/labels/dt=${dt}/hour=${hour}/'
);

CREATE EXTERNAL TABLE verdicts (
  `partition` int,
  `offset` bigint,
  `timestamp_ms` bigint,
  `key` binary,
  `value` binary,
  `headers` array<struct<key:string,value:binary>>,
  `event_id` string,
  `account_id` string,
  `time_ms` bigint,
  `decision` string,
  `score` double,
  `anomaly` double,
  `expected_loss_minor` bigint,
  `reasons` array<struct<code:string,feature:string,value:double,baseline:double,contribution:double,text:string>>,
  `model` string,
  `policy` string,
  `event_offset` bigint,
  `entities_offset` bigint,
  `flags` array<string>
)
PARTITIONED BY (`dt` string, `hour` int)
STORED AS PARQUET
LOCATION 's3://BUCKET/assay/verdicts/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2025-01-01,NOW+1DAYS',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://BUCKET/assay/verdicts/dt=${dt}/hour=${hour}/'
);

CREATE EXTERNAL TABLE outcomes (
  `partition` int,
  `offset` bigint,
  `timestamp_ms` bigint,
  `key` binary,
  `value` binary,
  `headers` array<struct<key:string,value:binary>>,
  `event_id` string,
  `judged_event_id` string,
  `account_id` string,
  `label` string,
  `fraud_type` string,
  `known_at_ms` bigint,
  `source` string,
  `judged_time_ms` bigint,
  `judged_offset` bigint,
  `judged_decision` string,
  `judged_score` double,
  `judged_anomaly` double,
  `judged_amount_base_minor` bigint,
  `feature_set` string,
  `features` map<string,double>,
  `flags` array<string>,
  `event_offset` bigint,
  `entities_offset` bigint
)
PARTITIONED BY (`dt` string, `hour` int)
STORED AS PARQUET
LOCATION 's3://BUCKET/assay/outcomes/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.dt.type' = 'date',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.range' = '2025-01-01,NOW+1DAYS',
  'projection.hour.type' = 'integer',
  'projection.hour.range' = '0,23',
  'projection.hour.digits' = '2',
  'storage.location.template' = 's3://BUCKET/assay/outcomes/dt=${dt}/hour=${hour}/'
);
