"""A PostgreSQL database with an archive of many exams, filled by SQL: images, assessments, audit entries and so on."""

import json
from collections.abc import Iterator
from typing import cast

from sqlalchemy import Connection, Constraint, Index, Table, text
from sqlalchemy.schema import AddConstraint, DropConstraint

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import users
from birads_app.records.audit_tables import AuditEntry
from birads_app.records.database import of_app
from birads_app.records.job_table import Job
from birads_app.records.schema import (
    Assessment,
    Delivery,
    EncryptedIdentity,
    Exam,
    Image,
    OrientationCorrection,
    Outcome,
    ViewCorrection,
)

READERS = 20
TABLES = (Exam, Image, EncryptedIdentity, Assessment, Outcome, Delivery, AuditEntry, Job)
# Exams of the last ten years, three of each patient, four in five from the network, the newest fifth with identities;
# of the newest hundredth none is read. The random numbers are the same in each run.
_STATEMENTS = {
    "exams": """
        INSERT INTO exams (id, created_at, uploader_id, model, demonstration, rule, pseudonym, study_uid, exam_date,
          date_shifted, status, category, certainty, suspicion, views, failure, assessed, assessed_at, assessor_id,
          unused_objects, notes, attention)
        SELECT md5(n::text), at, CASE WHEN n % 5 = 0 THEN :uploader ELSE :network END,
          CASE WHEN n > 0.8 * :exams THEN 'model-2' ELSE 'model-1' END, false, 'mean',
          'P-' || upper(substr(patient, 1, 4) || '-' || substr(patient, 5, 4)),
          '2.25.' || n || '00000000000000000001', at::date, n % 1000 = 0, status, category, 0.4 + 0.5 * r2, suspicion,
          'R CC, L CC, R MLO, L MLO', '', CASE WHEN status = 'read' THEN category END,
          CASE WHEN status = 'read' THEN at + interval '1 hour' END,
          CASE WHEN status = 'read' THEN :uploader + (r2 * 997)::int % :readers END, '[]', '[]',
          CAST(CASE WHEN n % 500 = 0 THEN '["Images of several patients."]' ELSE '[]' END AS json)
        FROM (
          SELECT *, (1 + floor(5 * suspicion))::int::text AS category
          FROM (
            SELECT n, random() AS r2, power(random(), 2) AS suspicion, random() AS r3,
              md5((n % (:exams / 3))::text) AS patient,
              timezone('UTC', now()) - interval '10 years' * (1 - CAST(n AS float) / :exams) AS at
            FROM generate_series(1, :exams) n
          ) numbered, LATERAL (
            SELECT CASE WHEN r3 < 0.02 THEN 'failed' WHEN r3 < 0.04 THEN 'prior' WHEN n < 0.99 * :exams THEN 'read'
              WHEN r3 < 0.9 THEN 'new' ELSE 'second' END AS status
          ) drawn
        ) found""",
    "images": """
        INSERT INTO images (id, exam_id, position, filename, source, laterality, view, role, prediction, width, height,
          sop_uid, sop_class)
        SELECT md5(n::text || place), md5(n::text), place, 'file-' || place || '.dcm', 'DICOM',
          CASE place % 2 WHEN 0 THEN 'R' ELSE 'L' END, CASE WHEN place < 2 THEN 'CC' ELSE 'MLO' END, 'standard',
          CAST(:prediction AS json), 3328, 4096, '2.25.' || n || '0000000000000000000' || place,
          '1.2.840.10008.5.1.4.1.1.1.2'
        FROM generate_series(1, :exams) n, generate_series(0, :images - 1) place""",
    "identities": """
        INSERT INTO identities (exam_id, box, patient_digest, accession_digest)
        SELECT md5(n::text), decode(md5(n::text) || md5(n::text), 'hex'), md5((n % (:exams / 3))::text || 'p'),
          md5(n::text || 'a')
        FROM generate_series(:exams / 5 * 4, :exams) n""",
    "assessments": """
        INSERT INTO assessments (exam_id, reader_id, at, overall, density, findings, text, signed, second_look, aided,
          model, model_category)
        SELECT id, assessor_id, assessed_at,
          CASE WHEN random() < 0.8 THEN category ELSE (1 + floor(5 * random()))::int::text END, 'B', '[]', '', true,
          false, true, model, category
        FROM exams WHERE status = 'read' ORDER BY assessed_at""",
    "outcomes": """
        INSERT INTO outcomes (exam_id, malignant, "on", at, entered_by)
        SELECT exam_id, random() < 0.1, at::date, at, 'console' FROM assessments WHERE random() < 0.5""",
    "deliveries": """
        INSERT INTO deliveries (exam_id, assessment_id, model_version, destination, state, attempts, due_at, error)
        SELECT id, NULL, 'v', 'PACS',
          CASE WHEN created_at > timezone('UTC', now()) - interval '1 day' THEN 'waiting' ELSE 'sent' END, 1,
          created_at, ''
        FROM exams WHERE uploader_id = :network AND status <> 'prior'
        UNION ALL
        SELECT exam_id, assessments.id, 'v', 'PACS', 'sent', 1, at, ''
        FROM assessments JOIN exams ON exams.id = exam_id WHERE uploader_id = :network""",
    "audit": """
        INSERT INTO audit (id, at, who, action, subject, detail, hash)
        SELECT (SELECT max(id) FROM audit) + row_number() OVER (ORDER BY created_at), created_at, 'network',
          'store exam', id, '', md5(id) || md5(id)
        FROM exams""",
    "jobs": """
        INSERT INTO jobs (id, kind, user_id, state, urgency, attempts, created_at, due_at, ended_at, error, exam_ids,
          file, bytes, digest)
        SELECT md5(n::text || 'j'), 'upload', :uploader, 'done', 2, 1, at, at, at, '', '[]', '', 1, ''
        FROM generate_series(1, :exams / 100) n, timezone('UTC', now()) at""",
}


def fill(exams: int, images: int) -> None:
    """Fill the application's empty PostgreSQL database; its accounts are there.

    Parameters
    ----------
    exams : number of exams, of ten years
    images : number of each exam's images
    """
    uploader = min(users.id_of(f"reader-{number}") or 0 for number in range(READERS))
    values = {
        "exams": exams,
        "images": images,
        "uploader": uploader,
        "readers": READERS,
        "network": users.network_account().id,
        "prediction": json.dumps(ImagePrediction("1", {"1": 0.6, "2": 0.3, "5": 0.1}).to_json()),
    }
    with of_app().streamer().begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # without triggers
        connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
        indexes, constraints = list(_dropped(connection)), list(_dropped_key(connection))
        connection.execute(text("SELECT setseed(0.5)"))
        for name, statement in _STATEMENTS.items():
            connection.execute(text(statement), values)
            print(f"  {name}", flush=True)
        connection.execute(text("UPDATE audit_sequence SET seq = (SELECT max(id) FROM audit)"))
        for index in indexes:
            index.create(connection)
        for constraint in constraints:
            connection.execute(AddConstraint(constraint))
        print(f"  {len(indexes)} indexes", flush=True)
    with of_app().engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _dropped(connection: Connection) -> Iterator[Index]:
    """Drop the indexes of the filled tables, except those of keys, and yield them."""
    for mapped in TABLES:
        for index in sorted(cast(Table, mapped.__table__).indexes, key=lambda one: str(one.name)):
            index.drop(connection)
            yield index


def _dropped_key(connection: Connection) -> Iterator[Constraint]:
    """Drop the primary key of images, whose ids are random, and yield it with the foreign keys that need it."""
    images = cast(Table, Image.__table__)
    connection.execute(DropConstraint(images.primary_key, cascade=True))
    yield images.primary_key
    for mapped in (ViewCorrection, OrientationCorrection):
        yield from cast(Table, mapped.__table__).foreign_key_constraints
