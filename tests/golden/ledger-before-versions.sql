BEGIN TRANSACTION;
CREATE TABLE "analyses" (
   "tree" TEXT PRIMARY KEY,
   "analysis" TEXT,
   "at" TEXT
);
INSERT INTO "analyses" VALUES('9f0d9f0d9f0d9f0d9f0d9f0d9f0d9f0d9f0d9f0d','{"modules": {}}','2026-11-27T19:45:41.950+00:00');
CREATE TABLE "outcomes" (
   "run" TEXT,
   "id" TEXT,
   "outcome" TEXT,
   "seconds" REAL,
   "message" TEXT,
   PRIMARY KEY ("run", "id")
);
INSERT INTO "outcomes" VALUES('calculator-0a1b2c/baseline/0','test_calc.py::test_mean_of_two','failed',0.01,'assert 2.0 == 3');
INSERT INTO "outcomes" VALUES('calculator-0a1b2c/baseline/0','test_calc.py::test_clamp_inside','passed',0.002,'');
INSERT INTO "outcomes" VALUES('calculator-0a1b2c/verdict/1','test_calc.py::test_mean_of_two','passed',0.01,'');
INSERT INTO "outcomes" VALUES('calculator-0a1b2c/verdict/1','test_calc.py::test_clamp_inside','passed',0.002,'');
INSERT INTO "outcomes" VALUES('copied-in-studio/baseline/0','test_calc.py::test_mean_of_two','failed',0.01,'assert 2.0 == 3');
CREATE TABLE "patches" (
   "sha256" TEXT PRIMARY KEY,
   "data" BLOB
);
INSERT INTO "patches" VALUES('270ea94586afca9e8fe337047b65d5ba7867fefae482e098638391e898f2d417',X'64696666202D2D67697420612F63616C632E707920622F63616C632E70790A2D2D2D20612F63616C632E70790A2B2B2B20622F63616C632E70790A4040202D31202B312040400A2D780A2BFF0A');
CREATE TABLE "test_runs" (
   "id" TEXT PRIMARY KEY,
   "thread" TEXT,
   "kind" TEXT,
   "attempt" INTEGER,
   "at" TEXT,
   "seconds" REAL,
   "patch" TEXT
);
INSERT INTO "test_runs" VALUES('calculator-0a1b2c/baseline/0','calculator-0a1b2c','baseline',0,'2026-11-27T19:45:41.948+00:00',0.4,'');
INSERT INTO "test_runs" VALUES('calculator-0a1b2c/verdict/1','calculator-0a1b2c','verdict',1,'2026-11-27T19:45:41.949+00:00',0.5,'270ea94586afca9e8fe337047b65d5ba7867fefae482e098638391e898f2d417');
INSERT INTO "test_runs" VALUES('copied-in-studio/baseline/0','copied-in-studio','baseline',0,'2026-11-27T19:45:49.108+00:00',0.4,'');
CREATE TABLE "threads" (
   "id" TEXT PRIMARY KEY,
   "source" TEXT,
   "task" TEXT,
   "input" TEXT,
   "status" TEXT,
   "detail" TEXT,
   "created" TEXT,
   "updated" TEXT
);
INSERT INTO "threads" VALUES('calculator-0a1b2c','/src/calculator','','{"source": "/src/calculator", "approve": false}','verified','1 failing tests pass, none breaks','2026-11-27T19:45:41.945+00:00','2026-11-27T19:45:41.951+00:00');
INSERT INTO "threads" VALUES('notes-ffeedd','https://host/notes.git','add a flag',NULL,'waiting',NULL,'2026-11-27T19:45:41.951+00:00','2026-11-27T19:45:41.951+00:00');
COMMIT;
